//! The last good key set of an issuer, on disk: what a gate starts with while the issuer is down.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Source, fetch::Fetched};
use crate::json;

/// The file of one issuer's last good set.
pub(super) struct LastGood {
    path: PathBuf,
    /// Whose keys these are: a set kept for other settings is not used.
    owner: Value,
}

/// A set that was kept.
pub(super) struct Kept {
    pub(super) keys: Fetched,
    /// How long ago it was written.
    pub(super) age: Duration,
}

impl LastGood {
    pub(super) fn new(dir: &Path, source: &Source) -> Self {
        let owner = json!({"issuer": source.issuer, "jwks_uri": source.jwks_uri.as_ref().map(url::Url::as_str)});
        Self {
            path: dir
                .join("keys")
                .join(format!("{}.json", file_name(&source.name))),
            owner,
        }
    }

    /// The set, if there is one of this issuer that can be read.
    pub(super) fn load(&self) -> Option<Kept> {
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "The last good key set cannot be read");
                return None;
            }
        };
        let kept = json::object(&content).filter(|kept| kept.get("source") == Some(&self.owner));
        let keys =
            kept.and_then(|kept| Fetched::parse(kept.get("set")?.to_string().as_bytes()).ok()?);
        if keys.is_none() {
            tracing::warn!(path = %self.path.display(), "The last good key set is another issuer's or damaged");
        }
        let age = fs::metadata(&self.path)
            .and_then(|meta| meta.modified())
            .ok();
        let age = age
            .and_then(|written| written.elapsed().ok())
            .unwrap_or_default();
        Some(Kept { keys: keys?, age })
    }

    /// Keeps a set; whole or not at all.
    pub(super) fn save(&self, document: &Value) -> io::Result<()> {
        let content = json!({"source": self.owner, "set": {"keys": document}}).to_string();
        if let Some(dir) = self.path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let fresh = self.path.with_extension("json.new");
        // The keys are public; that nobody else may write them is what matters.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}

/// A name from the settings as a file name: what is not plainly one is written as its hexadecimal bytes.
fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02x}")
            }
        })
        .collect()
}
