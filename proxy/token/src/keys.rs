//! Key sets: the public keys of one issuer, parsed once, each with the one algorithm it is for.

mod jwk;
mod remote;

use std::{pin::Pin, sync::Arc};

use aws_lc_rs::signature::ParsedPublicKey;
use jsonwebtoken::Algorithm;

pub use jwk::{Ignored, MalformedKeySet};
pub use remote::{FetchError, FetchLimits, KeySetStatus, RemoteKeys, Source};

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

    /// The keys after one more look for `kid`, which the current set lacks.
    ///
    /// Whoever calls may be hostile: implementors bound how often this does I/O, and share one look among all who ask.
    fn fetch_unknown<'a>(&'a self, kid: &'a str) -> BoxFuture<'a, Arc<KeySet>>;
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

    /// The key a token names.
    ///
    /// `kid` may be absent (RFC 7515 section 4.1.4 makes it optional) only where exactly one key has the algorithm:
    /// trying several keys would let a token choose among them.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm);
        let Some(kid) = kid else {
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Found::Key(key),
                _ => Found::Ambiguous,
            };
        };
        if let Some(key) = fitting.find(|key| key.kid.as_deref() == Some(kid)) {
            return Found::Key(key);
        }
        let known = self.keys.iter().any(|key| key.kid.as_deref() == Some(kid));
        if known {
            Found::OtherAlgorithm
        } else {
            Found::Unknown
        }
    }
}

/// What a key set has for a token.
#[derive(Debug)]
pub(crate) enum Found<'k> {
    /// The key.
    Key(&'k Key),
    /// The key named is for another algorithm.
    OtherAlgorithm,
    /// The token names no key, and not exactly one fits.
    Ambiguous,
    /// No key of that name: one more fetch may help.
    Unknown,
}

/// One public key, for one algorithm.
#[derive(Debug)]
pub struct Key {
    kid: Option<String>,
    // INVARIANT: an asymmetric algorithm; `jwk` makes no other.
    algorithm: Algorithm,
    public: ParsedPublicKey,
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

    /// The only algorithm it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` over `message` was made with its private half.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}
