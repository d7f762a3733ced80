//! What is asked about each verified token, on each request: is it still good?

mod followed;
mod told;

use crate::Claims;

pub use followed::{Feed, Followed, FollowedStatus, OnStale, Sign};
pub use told::jti_ms;

/// Answers whether a token that verifies has been taken back.
///
/// Asked on every request, remembered token or not, so an answer costs no I/O: implementors keep what is revoked in
/// memory.
pub trait Revocations: Send + Sync + 'static {
    /// How the token stands now.
    ///
    /// For an embedded issuer a token whose pool, client or user is gone is [`Standing::Revoked`].
    fn standing(&self, claims: &Claims) -> Standing;

    /// A number that grows with everything that could take a token back, so that a token that was live under it still is;
    /// `None` where nothing can be said without asking for the token, as when the feed is too old.
    fn version(&self) -> Option<u64> {
        None
    }
}

/// How a verified token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was taken back.
    Live,
    /// It was revoked, or what it speaks for is gone.
    Revoked,
    /// The feed of revocations is too old to tell; answered with 503, never with a guess.
    Unknown,
}
