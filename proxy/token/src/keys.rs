//! Key sets: the public keys of one issuer, parsed once, each with the algorithms it is for.

mod jwk;
mod remote;

use std::{pin::Pin, sync::Arc};

use aws_lc_rs::signature::ParsedPublicKey;

use crate::Algorithm;

pub use jwk::{Ignored, MalformedKeySet};
pub use remote::{FetchError, FetchLimits, KeySetStatus, RemoteKeys, Source};
pub(crate) use remote::{fetch, reason};

/// A future that lives on the heap, so that traits with it can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where an issuer's keys come from: asked in process, or fetched and refreshed in the background.
pub trait Keys: Send + Sync + 'static {
    /// The keys as they are known now; costs no I/O.
    fn current(&self) -> Arc<KeySet>;

    /// The generation of [`Keys::current`]; asked on every request.
    fn generation(&self) -> u64 {
        self.current().generation()
    }

    /// The keys after one more look for `kid`, which the current set lacks, or for whatever is new where a token names none.
    ///
    /// Whoever calls may be hostile: implementors bound how often this does I/O, and share one look among all who ask.
    fn fetch_unknown<'a>(&'a self, kid: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>>;
}

/// One issuer's public keys.
#[derive(Debug)]
pub struct KeySet {
    generation: u64,
    loaded: bool,
    keys: Vec<Key>,
}

impl KeySet {
    /// The set of an issuer whose keys have never been seen: its tokens are answered with 503.
    pub fn never_loaded() -> Self {
        Self {
            generation: 0,
            loaded: false,
            keys: Vec::new(),
        }
    }

    /// A set that was loaded; `generation` differs from that of every earlier set with other keys.
    pub fn new(generation: u64, keys: Vec<Key>) -> Self {
        Self {
            generation,
            loaded: true,
            keys,
        }
    }

    /// Reads a JWK set (RFC 7517 section 5). Keys that cannot verify are left out and named in the second part.
    pub fn parse(
        generation: u64,
        document: &[u8],
    ) -> Result<(Self, Vec<Ignored>), MalformedKeySet> {
        let (keys, ignored) = jwk::parse_set(document)?;
        Ok((Self::new(generation, keys), ignored))
    }

    /// Changes when the keys change; what was verified under another generation is verified again.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the issuer's keys have been seen at all.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// How a signature stands under the keys that may have made it.
    ///
    /// A `kid` is a hint (RFC 7515 section 4.1.4): it narrows the keys to those of that name, or, where none has it, to
    /// those without a name; a token without one narrows nothing. Several keys may have one name (RFC 7517 section 4.5).
    /// Whichever it is, only keys for the token's algorithm are tried, and no more than [`MOST_TRIED`].
    pub(crate) fn check(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Checked {
        let is_named = kid.is_some() && self.has(kid);
        let candidates = self.keys.iter().filter(|key| match kid {
            Some(_) if is_named => key.kid() == kid,
            Some(_) => key.kid.is_none(),
            None => true,
        });
        let fitting = candidates.filter_map(|key| key.public(algorithm));
        let count = fitting.clone().take(MOST_TRIED + 1).count();
        if count > MOST_TRIED {
            return Checked::TooMany;
        }
        let mut fitting = fitting;
        if fitting.any(|public| public.verify_sig(message, signature).is_ok()) {
            return Checked::Valid;
        }
        match (is_named, kid, count) {
            (true, _, 0) => Checked::OtherAlgorithm,
            (true, ..) => Checked::Invalid,
            (false, None, 1..) => Checked::Unnamed,
            (false, ..) => Checked::Unknown,
        }
    }

    /// Whether a key has this name.
    pub(crate) fn has(&self, kid: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.kid() == kid)
    }
}

/// How a signature stands under a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// A key made it.
    Valid,
    /// No key of the name given made it.
    Invalid,
    /// No key fits that made it, and the token names none; a fresher set may have one.
    Unnamed,
    /// The keys named are for other algorithms.
    OtherAlgorithm,
    /// No key of that name; a fresher set may have one.
    Unknown,
    /// More keys fit than are tried.
    TooMany,
}

/// One public key.
#[derive(Debug, Clone)]
pub struct Key {
    kid: Option<String>,
    // INVARIANT: not empty, and what the key's type, curve and `alg` allow; `jwk` makes no other.
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl Key {
    /// Reads one JWK (RFC 7517 section 4), or says why it cannot verify signatures.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<Self, Ignored> {
        jwk::parse(jwk)
    }

    /// Its `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms it verifies: one, except for an RSA key without `alg`.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    fn public(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let mut verifiers = self.verifiers.iter();
        verifiers.find_map(|(of, public)| (*of == algorithm).then_some(public))
    }
}

/// So many signatures are checked for one token at most, whatever the set: a set that is made badly must not make each
/// forged token dear.
pub(crate) const MOST_TRIED: usize = 8;
