use aws_lc_rs::signature::KeyPair;
use serde_json::json;

use super::*;
use crate::{KeySet, fixture::*};

fn reason(jwk: &Value) -> Ignored {
    parse(jwk).unwrap_err()
}

fn algorithms(jwk: &Value) -> Vec<&'static str> {
    let key = parse(jwk).unwrap();
    key.algorithms().map(Algorithm::as_str).collect()
}

#[test]
fn each_type_has_its_algorithms() {
    assert_eq!(algorithms(&rsa_jwk(&RSA, "a")), ["RS256"]);
    assert_eq!(
        algorithms(&with(rsa_jwk(&RSA, "a"), json!({"alg": null}))),
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    );
    assert_eq!(
        algorithms(&with(rsa_jwk(&RSA, "a"), json!({"alg": "PS512"}))),
        ["PS512"]
    );
    for (jwk, alg) in [
        (ec_jwk("b"), "ES256"),
        (ec384_jwk("b"), "ES384"),
        (ec521_jwk("b"), "ES512"),
        (ed_jwk("b"), "EdDSA"),
    ] {
        assert_eq!(algorithms(&jwk), [alg]);
        assert_eq!(algorithms(&with(jwk, json!({"alg": alg}))), [alg]);
    }
    assert_eq!(
        algorithms(&with(ed_jwk("c"), json!({"alg": "Ed25519"}))),
        ["EdDSA"]
    );
    assert_eq!(parse(&ed_jwk("c")).unwrap().kid(), Some("c"));
}

#[test]
fn a_key_for_something_else_is_ignored() {
    let rsa = |changes| with(rsa_jwk(&RSA, "a"), changes);
    assert_eq!(
        reason(&json!({"kty": "oct", "k": "AAAA", "alg": "HS256"})),
        Ignored::Symmetric
    );
    assert_eq!(reason(&rsa(json!({"use": "enc"}))), Ignored::Use);
    assert_eq!(
        reason(&rsa(json!({"key_ops": ["encrypt"]}))),
        Ignored::Operations
    );
    assert!(parse(&rsa(json!({"key_ops": ["verify"]}))).is_ok());
    for alg in ["HS256", "ES256", "RSA-OAEP", "none", "EdDSA", "rs256", ""] {
        assert_eq!(
            reason(&rsa(json!({"alg": alg}))),
            Ignored::Algorithm,
            "{alg}"
        );
    }
    assert_eq!(
        reason(&with(ec_jwk("b"), json!({"alg": "ES384"}))),
        Ignored::Algorithm
    );
    assert_eq!(
        reason(&with(ec_jwk("b"), json!({"crv": "Ed25519"}))),
        Ignored::Algorithm
    );
    assert_eq!(
        reason(&with(ec_jwk("b"), json!({"crv": "P-521"}))),
        Ignored::Invalid
    );
    assert_eq!(
        reason(&with(ec_jwk("b"), json!({"alg": 5}))),
        Ignored::Malformed
    );
}

#[test]
fn a_weak_or_broken_key_is_ignored() {
    let rsa = |changes| with(rsa_jwk(&RSA, "a"), changes);
    let short = [&[0x80], [1_u8; 126].as_slice()].concat();
    assert_eq!(reason(&rsa(json!({"n": b64(short)}))), Ignored::Weak);
    assert_eq!(reason(&rsa(json!({"n": b64([0xff; 1025])}))), Ignored::Weak);
    assert_eq!(reason(&rsa(json!({"e": b64([1])}))), Ignored::Weak);
    assert_eq!(reason(&rsa(json!({"e": b64([2])}))), Ignored::Weak);
    assert_eq!(reason(&rsa(json!({"e": ""}))), Ignored::Invalid);
    assert_eq!(reason(&rsa(json!({"n": "A+/="}))), Ignored::Invalid);
    // 2047 bits in as many bytes as 2048 have.
    let mut almost = vec![0xff; 256];
    almost[0] = 0x7f;
    assert_eq!(reason(&rsa(json!({"n": b64(almost)}))), Ignored::Weak);
    // A point that is not on the curve.
    assert_eq!(
        reason(&with(ec_jwk("b"), json!({"y": b64([1; 32])}))),
        Ignored::Invalid
    );
    assert_eq!(
        reason(&with(ec_jwk("b"), json!({"y": b64([1; 31])}))),
        Ignored::Invalid
    );
}

#[test]
fn leading_zeros_of_a_modulus_do_no_harm() {
    let public = RSA.public_key();
    let padded = [&[0], public.modulus().big_endian_without_leading_zero()].concat();
    assert!(parse(&with(rsa_jwk(&RSA, "a"), json!({"n": b64(padded)}))).is_ok());
}

#[test]
fn one_bad_key_spoils_no_set() {
    let set = json!({"keys": [{"kty": "oct", "k": "AAAA"}, rsa_jwk(&RSA, "a"), 7, {"kty": "new"}]});
    let (set, ignored) = KeySet::parse(3, set.to_string().as_bytes()).unwrap();
    assert_eq!(
        (set.generation(), set.keys().len(), set.is_loaded()),
        (3, 1, true)
    );
    assert_eq!(ignored.len(), 3);
}

#[test]
fn what_is_no_set_is_told() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        "<html>",
    ] {
        assert_eq!(
            KeySet::parse(1, bad.as_bytes()).unwrap_err(),
            MalformedKeySet,
            "{bad}"
        );
    }
}
