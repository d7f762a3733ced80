//! Keys, tokens and a clock for tests.
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{Audience, Key, KeySet, Kind, Naming, Rules};

pub(crate) const ISS: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Test00001";

/// The tests' now, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
pub(crate) static OTHER_RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn rsa_jwk(pair: &RsaKeyPair, kid: &str) -> Value {
    let public = pair.public_key();
    let (n, e) = (
        public.modulus().big_endian_without_leading_zero(),
        public.exponent(),
    );
    json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(n),
        "e": b64(e.big_endian_without_leading_zero())})
}

pub(crate) fn ec_jwk(kid: &str) -> Value {
    let (x, y) = EC.public_key().as_ref()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(x), "y": b64(y)})
}

pub(crate) fn ed_jwk(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(ED.public_key())})
}

pub(crate) fn key_set(generation: u64, jwks: &[Value]) -> KeySet {
    KeySet::new(
        generation,
        jwks.iter().map(|jwk| Key::from_jwk(jwk).unwrap()).collect(),
    )
}

/// A token with this header and payload, signed as the header's `alg` says.
pub(crate) fn sign(header: &Value, payload: &Value) -> String {
    sign_text(&header.to_string(), &payload.to_string())
}

pub(crate) fn sign_text(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(payload));
    let signature = if header.contains("ES256") {
        EC.sign(&SystemRandom::new(), message.as_bytes())
            .unwrap()
            .as_ref()
            .to_vec()
    } else if header.contains("EdDSA") {
        ED.sign(message.as_bytes()).as_ref().to_vec()
    } else {
        let encoding = if header.contains("PS256") {
            &RSA_PSS_SHA256
        } else {
            &RSA_PKCS1_SHA256
        };
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(
            encoding,
            &SystemRandom::new(),
            message.as_bytes(),
            &mut signature,
        )
        .unwrap();
        signature
    };
    format!("{message}.{}", b64(signature))
}

pub(crate) fn header() -> Value {
    json!({"kid": "k1", "alg": "RS256"})
}

/// An access token's claims as Cognito writes them.
pub(crate) fn access() -> Value {
    json!({"sub": "u1", "cognito:groups": ["readers"], "iss": ISS, "client_id": "web", "origin_jti": "o1",
        "event_id": "e1", "token_use": "access", "scope": "aws.cognito.signin.user.admin pets/read",
        "auth_time": NOW, "exp": NOW + 3600, "iat": NOW, "jti": "j1", "username": "ann"})
}

/// The claims with some changed, or taken away where the change is null.
pub(crate) fn with(mut claims: Value, changes: Value) -> Value {
    let map = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap().clone() {
        if value.is_null() {
            map.remove(&name);
        } else {
            map.insert(name, value);
        }
    }
    drop(changes);
    claims
}

pub(crate) fn rules(kind: Kind, accepted: &[&str]) -> Arc<Rules> {
    Arc::new(Rules {
        name: "staff".into(),
        iss: ISS.into(),
        kind,
        audience: Audience::AnyOf(accepted.iter().map(ToString::to_string).collect()),
        naming: match kind {
            Kind::Cognito => Naming::cognito("us-east-1_Test00001"),
            Kind::Oidc => Naming::oidc(),
        },
    })
}
