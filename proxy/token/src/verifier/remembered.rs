//! Tokens already verified, by the digest of what was sent, bounded in memory.

use std::{
    hash::BuildHasherDefault,
    mem::size_of,
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
pub(super) struct Remembered(Cache<Digest, Arc<Known>, BuildHasherDefault<Prefix>>);

impl Remembered {
    pub(super) fn new(bytes: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, known: &Arc<Known>| weight(known))
                // Only tokens that verified come in, so nobody flushes the others out by sending many; and one that
                // is over, for which nobody asks any more, is the first to go.
                .eviction_policy(EvictionPolicy::lru())
                .build_with_hasher(BuildHasherDefault::default()),
        )
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Known>> {
        self.0.get(digest)
    }

    pub(super) fn put(&self, digest: Digest, known: &Arc<Known>) {
        self.0.insert(digest, Arc::clone(known));
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
pub(super) struct Known {
    pub(super) claims: Claims,
    pub(super) issuer: IssuerIndex,
    /// One more than the version of the issuer's revocations under which the token was live.
    live: AtomicU64,
}

impl Known {
    pub(super) fn new(claims: Claims, issuer: IssuerIndex) -> Self {
        Self {
            claims,
            issuer,
            live: AtomicU64::default(),
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

/// How many bytes a token takes: what it says, rounded up by the allocator, and its place in the cache.
fn weight(known: &Known) -> u32 {
    let text = known.claims.text_bytes();
    u32::try_from(text + text / 8 + size_of::<Known>() + PLACE).unwrap_or(u32::MAX)
}

/// What the cache keeps beside a key and a value.
const PLACE: usize = 320;
