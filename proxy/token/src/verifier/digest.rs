//! What a verified token is found by, so that no bearer token is kept in memory.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::LazyLock,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};

/// Stands for a token as it was sent, signature included: two tokens that differ in a bit are two tokens.
///
/// A GMAC (NIST SP 800-38D section 3) under a key of this process, in less than half the time of SHA-256.
///
/// INVARIANT: a digest never leaves the process, nor does anything computed from one, so all tags may share one nonce:
/// what that would give away is how tags differ, and nobody sees a tag. The tag then is GHASH under a secret key plus
/// a constant, and a token that is chosen without knowing the key has the tag of another with a probability of at most
/// `(bytes / 16 + 2) / 2^128` for the longer one: two polynomials that differ agree in no more points than their degree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; TAG_LEN]);

impl Digest {
    /// Makes the key now: to gather randomness for it takes some thirty milliseconds, which no request is to wait for.
    pub(super) fn prepare() {
        LazyLock::force(&KEY);
    }

    /// Nothing on a machine without random numbers, where there is no key: then no token is remembered.
    pub(super) fn of(token: &str) -> Option<Self> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = KEY
            .as_ref()?
            .seal_in_place_separate_tag(nonce, Aad::from(token.as_bytes()), &mut [])
            .ok()?;
        tag.as_ref().try_into().ok().map(Self)
    }

    pub(super) fn bytes(self) -> [u8; TAG_LEN] {
        self.0
    }
}

/// Shows nothing: a digest is in no log.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// A digest is spread evenly already, and only tokens that verified are put in: its first bytes are its hash.
#[derive(Default)]
pub(super) struct Prefix(u64);

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

const TAG_LEN: usize = 16;

static KEY: LazyLock<Option<LessSafeKey>> = LazyLock::new(|| {
    let mut key = [0; 32];
    rand::fill(&mut key).ok()?;
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_differ_have_digests_that_differ() {
        let token = "a".repeat(1000);
        let digest = Digest::of(&token);
        assert!(digest.is_some());
        assert_eq!(digest, Digest::of(&token.clone()));
        for at in [0, 1, 15, 16, 500, 999] {
            let mut other = token.clone();
            other.replace_range(at..=at, "b");
            assert_ne!(digest, Digest::of(&other), "{at}");
        }
    }

    /// GHASH pads with zeros, and counts the length for that reason.
    #[test]
    fn zeros_at_the_end_count() {
        for length in [0, 15, 16, 17] {
            let token = "\0".repeat(length);
            assert_ne!(Digest::of(&token), Digest::of(&format!("{token}\0")));
        }
    }
}
