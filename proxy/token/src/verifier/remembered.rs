//! Tokens already verified, by the digest of what was sent, bounded in memory.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::Claims;

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

    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Claims>> {
        self.0.get(digest).map(|entry| entry.claims)
    }

    /// Remembers a token that was `size` bytes long.
    pub(super) fn put(&self, digest: Digest, size: usize, claims: &Arc<Claims>) {
        let weight = u32::try_from(size.saturating_mul(3).saturating_add(512)).unwrap_or(u32::MAX);
        let claims = Arc::clone(claims);
        self.0.insert(digest, Entry { claims, weight });
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

/// SHA-256 of a token as it was sent, signature included: two tokens that differ in a bit are two tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

#[derive(Clone)]
struct Entry {
    claims: Arc<Claims>,
    weight: u32,
}

/// A digest is spread evenly already, and only tokens that verified are put in: its first bytes are its hash.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
