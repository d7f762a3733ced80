//! Where a remote issuer's keys come from, and the bounds of fetching them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use url::Url;

use crate::Transport;

/// Where a remote issuer's keys are, and how they are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The issuer's name in the settings; also names the file of its last good set.
    pub name: Arc<str>,
    /// The exact `iss`; discovery starts from it.
    pub issuer: String,
    /// Where the keys are; found by discovery when absent.
    pub jwks_uri: Option<Url>,
    /// The folder under whose `keys/` the last good set is kept; nothing is kept when absent.
    pub dir: Option<PathBuf>,
    /// The way to them.
    pub transport: Transport,
    /// Times and sizes.
    pub limits: FetchLimits,
}

/// Times and sizes of fetching keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// How long a set is used before it is fetched anew.
    pub refresh: Duration,
    /// The least time between two fetches that unknown key ids cause.
    pub unknown_key: Duration,
    /// The most a fetch may take, connection to last byte.
    pub timeout: Duration,
    /// The largest document read, in bytes.
    pub document_bytes: usize,
    /// The most keys a set may have, those that cannot be used included.
    pub keys: usize,
}

impl Source {
    /// Whether both are the same keys of the same issuer, however they are fetched.
    pub(super) fn publishes_as(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.jwks_uri == other.jwks_uri
    }
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(5),
            unknown_key: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            document_bytes: 150 * 1024,
            keys: 100,
        }
    }
}
