//! JWK sets: each key that is taken is of a kind that verifies, of a size that holds, and for the algorithms it names.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;
use token::{Key, KeySet};

use crate::json;

pub(super) fn run(data: &[u8]) {
    let read = str::from_utf8(data).ok().and_then(json::read);
    let is_clear = read
        .as_ref()
        .is_some_and(|read| read.unambiguous().is_some());
    let Ok((set, ignored)) = KeySet::parse(1, data) else {
        return;
    };
    assert!(is_clear, "a set with two readings");
    let document: Value = serde_json::from_slice(data).unwrap();
    let jwks = document["keys"].as_array().expect("a set has a list");
    assert_eq!(set.keys().len() + ignored.len(), jwks.len());
    let taken = jwks.iter().filter_map(|jwk| {
        let key = Key::from_jwk(jwk).ok()?;
        check(jwk, &key);
        Some(key)
    });
    let taken: Vec<Key> = taken.collect();
    assert_eq!(taken.len(), set.keys().len());
    for (alone, within) in taken.iter().zip(set.keys()) {
        assert_eq!(alone.kid(), within.kid());
        assert!(alone.algorithms().eq(within.algorithms()));
    }
}

fn check(jwk: &Value, key: &Key) {
    assert_eq!(key.kid(), jwk["kid"].as_str());
    assert!(
        jwk.get("use")
            .is_none_or(|purpose| purpose.is_null() || purpose == "sig")
    );
    if let Some(operations) = jwk["key_ops"].as_array() {
        assert!(operations.iter().any(|operation| operation == "verify"));
    }
    let names: Vec<&str> = key.algorithms().map(token::Algorithm::as_str).collect();
    let octets = |name: &str| {
        let text = jwk[name].as_str().expect("a number is text");
        BASE64.decode(text).expect("a number is base64url")
    };
    let expected: &[&str] = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
        (Some("RSA"), _) => {
            check_rsa(&octets("n"), &octets("e"));
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        }
        (Some("EC"), Some(curve)) => {
            let (size, name): (_, &[&str]) = match curve {
                "P-256" => (32, &["ES256"]),
                "P-384" => (48, &["ES384"]),
                "P-521" => (66, &["ES512"]),
                other => panic!("curve {other}"),
            };
            assert_eq!((octets("x").len(), octets("y").len()), (size, size));
            name
        }
        (Some("OKP"), Some("Ed25519")) => {
            assert_eq!(octets("x").len(), 32);
            &["EdDSA"]
        }
        other => panic!("a key of {other:?}"),
    };
    match jwk.get("alg").map(|alg| alg.as_str().expect("a name")) {
        None => assert_eq!(names, expected),
        Some("Ed25519") => assert_eq!((&*names, expected), (&["EdDSA"][..], &["EdDSA"][..])),
        Some(alg) => assert!(
            names == [alg] && expected.contains(&alg),
            "{alg}: {names:?}"
        ),
    }
}

/// NIST SP 800-131A: 2048 bits and more; an odd exponent that is not 1.
fn check_rsa(n: &[u8], e: &[u8]) {
    let zeros = n.iter().take_while(|octet| **octet == 0).count();
    let bits = (n.len() - zeros) * 8 - n[zeros].leading_zeros() as usize;
    assert!((2048..=8192).contains(&bits), "{bits}");
    assert_eq!((n.last().unwrap() % 2, e.last().unwrap() % 2), (1, 1));
    assert!(e.iter().rev().skip(1).any(|octet| *octet != 0) || *e.last().unwrap() > 1);
}
