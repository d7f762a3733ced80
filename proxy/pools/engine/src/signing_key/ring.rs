//! The keys of one pool, parsed.

use std::sync::Arc;

use serde_json::{Value, json};
use token::{Key, KeySet};

use super::{Kind, SigningKey};
use crate::{Error, Result};

/// Every published key of a pool, and which of them sign.
pub(crate) struct Ring {
    keys: Vec<Member>,
    jwks: Arc<str>,
    public: Arc<KeySet>,
}

/// A stored key, opened.
pub(super) struct Member {
    pub(super) kid: String,
    pub(super) kind: Kind,
    pub(super) active_ms: i64,
    pub(super) modulus: String,
    pub(super) key: Arc<SigningKey>,
}

impl Ring {
    /// The newest key comes first, so that verifiers without patience find it first.
    pub(super) fn of(generation: u64, mut keys: Vec<Member>) -> Result<Self> {
        keys.sort_by_key(|key| std::cmp::Reverse(key.active_ms));
        let jwks: Vec<Value> = keys.iter().map(Member::jwk).collect();
        let public = jwks
            .iter()
            .map(Key::from_jwk)
            .collect::<std::result::Result<Vec<_>, _>>();
        let public = public.map_err(|source| Error::corrupt("signing key", source))?;
        Ok(Self {
            keys,
            jwks: json!({ "keys": jwks }).to_string().into(),
            public: Arc::new(KeySet::new(generation, public)),
        })
    }

    /// The key that signs now.
    pub(crate) fn current(&self, kind: Kind, now_ms: i64) -> Result<Arc<SigningKey>> {
        let mut of_kind = self.keys.iter().filter(|key| key.kind == kind);
        let current = of_kind.clone().find(|key| key.active_ms <= now_ms);
        // A clock that went back behind the first activation must not stop all sign-ins.
        let key = current
            .or_else(|| of_kind.next_back())
            .ok_or(Error::Crypto("finding a signing key"))?;
        Ok(Arc::clone(&key.key))
    }

    /// The public halves for verifiers.
    pub(crate) fn public(&self) -> Arc<KeySet> {
        Arc::clone(&self.public)
    }

    /// The public halves as a document (RFC 7517 section 5).
    pub(super) fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.jwks)
    }
}

impl Member {
    fn jwk(&self) -> Value {
        json!({"alg": "RS256", "e": "AQAB", "kid": self.kid, "kty": "RSA", "n": self.modulus, "use": "sig"})
    }
}
