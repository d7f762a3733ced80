//! Tokens already verified, by the digest of what was sent, bounded in memory.

use std::{
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{
    IssuerIndex,
    digest::{Digest, Prefix},
};
use crate::{Claims, Revocations, Standing};

/// Verified tokens.
pub(super) struct Remembered(Cache<Digest, Entry, BuildHasherDefault<Prefix>>);

impl Remembered {
    pub(super) fn new(bytes: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, entry: &Entry| entry.weight)
                // Only tokens that verified come in, so nobody flushes the others out by sending many; and one that
                // is over, for which nobody asks any more, is the first to go.
                .eviction_policy(EvictionPolicy::lru())
                .build_with_hasher(BuildHasherDefault::default()),
        )
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Known> {
        self.0.get(digest).map(|entry| entry.known)
    }

    /// Remembers a token that was `size` bytes long.
    pub(super) fn put(&self, digest: Digest, size: usize, known: Known) {
        let weight = u32::try_from(size.saturating_mul(3).saturating_add(512)).unwrap_or(u32::MAX);
        self.0.insert(digest, Entry { known, weight });
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.0.invalidate(digest);
    }
}

/// A token that verified, and whose it is.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) claims: Arc<Claims>,
    pub(super) issuer: IssuerIndex,
    /// One more than the version of the issuer's revocations under which the token was live.
    live: Arc<AtomicU64>,
}

impl Known {
    pub(super) fn new(claims: Arc<Claims>, issuer: IssuerIndex) -> Self {
        let live = Arc::default();
        Self {
            claims,
            issuer,
            live,
        }
    }

    /// How the token stands now.
    ///
    /// INVARIANT: the version is read before the revocations are asked, so that one that comes in between is asked for the
    /// next time.
    pub(super) fn standing(&self, revocations: &dyn Revocations) -> Standing {
        let mark = revocations.version().map(|version| version.wrapping_add(1));
        if mark.is_some_and(|mark| mark == self.live.load(Ordering::Relaxed)) {
            return Standing::Live;
        }
        let standing = revocations.standing(&self.claims);
        if let (Standing::Live, Some(mark)) = (standing, mark) {
            self.live.store(mark, Ordering::Relaxed);
        }
        standing
    }
}

#[derive(Clone)]
struct Entry {
    known: Known,
    weight: u32,
}
