//! Keys, tokens and a clock for tests.
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
        RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
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
static EC: LazyLock<EcdsaKeyPair> = LazyLock::new(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING));
static EC384: LazyLock<EcdsaKeyPair> = LazyLock::new(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING));
static EC521: LazyLock<EcdsaKeyPair> = LazyLock::new(|| ec(&ECDSA_P521_SHA512_FIXED_SIGNING));
static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).unwrap()
}

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
    curve_jwk(&EC, "P-256", kid)
}

pub(crate) fn ec384_jwk(kid: &str) -> Value {
    curve_jwk(&EC384, "P-384", kid)
}

pub(crate) fn ec521_jwk(kid: &str) -> Value {
    curve_jwk(&EC521, "P-521", kid)
}

fn curve_jwk(pair: &EcdsaKeyPair, curve: &str, kid: &str) -> Value {
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "kid": kid, "x": b64(x), "y": b64(y)})
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
    let bytes = message.as_bytes();
    let is = |alg: &str| header.contains(alg);
    let curve = |pair: &EcdsaKeyPair| {
        pair.sign(&SystemRandom::new(), bytes)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    let signature = if is("ES256") {
        curve(&EC)
    } else if is("ES384") {
        curve(&EC384)
    } else if is("ES512") {
        curve(&EC521)
    } else if is("EdDSA") || is("Ed25519") {
        ED.sign(bytes).as_ref().to_vec()
    } else {
        let encodings: [(&str, &dyn RsaEncoding); 5] = [
            ("RS384", &RSA_PKCS1_SHA384),
            ("RS512", &RSA_PKCS1_SHA512),
            ("PS256", &RSA_PSS_SHA256),
            ("PS384", &RSA_PSS_SHA384),
            ("PS512", &RSA_PSS_SHA512),
        ];
        let encoding = encodings.into_iter().find(|(alg, _)| is(alg));
        rsa(
            &RSA,
            encoding.map_or(&RSA_PKCS1_SHA256, |(_, encoding)| encoding),
            bytes,
        )
    };
    format!("{message}.{}", b64(signature))
}

fn rsa(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
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
