//! Which keys of a set are tried.

use super::*;

/// What a token with this header meets in a set of these keys.
fn met(header: &Value, jwks: &[Value]) -> Option<Refusal> {
    let rules = rules(Kind::Cognito, &["web"]);
    let token = sign(header, &access());
    verify(&token, &key_set(1, jwks), &rules, LEEWAY, at(NOW)).err()
}

#[test]
fn without_a_kid_the_keys_that_fit_are_tried() {
    let bare = json!({"alg": "RS256"});
    let (own, other) = (rsa_jwk(&RSA, "k1"), rsa_jwk(&OTHER_RSA, "k4"));
    assert_eq!(met(&bare, std::slice::from_ref(&own)), None);
    assert_eq!(
        met(&bare, &[other.clone(), ec_jwk("k2"), own.clone()]),
        None
    );
    assert_eq!(
        met(&bare, std::slice::from_ref(&other)),
        Some(Refusal::SignatureInvalid)
    );
    assert_eq!(met(&bare, &[ec_jwk("k2")]), Some(Refusal::KeyUnknown));
    assert_eq!(
        refusal(&sign(&json!({"kid": 1, "alg": "RS256"}), &access())),
        Refusal::Malformed
    );
}

#[test]
fn keys_of_one_name_are_tried() {
    let named = json!({"kid": "k1", "alg": "RS256"});
    let (own, other) = (rsa_jwk(&RSA, "k1"), rsa_jwk(&OTHER_RSA, "k1"));
    assert_eq!(
        met(&named, &[other.clone(), ec_jwk("k1"), own.clone()]),
        None
    );
    assert_eq!(
        met(&named, &[other.clone(), other.clone()]),
        Some(Refusal::SignatureInvalid)
    );
    assert_eq!(
        met(&named, &[ec_jwk("k1"), ed_jwk("k1")]),
        Some(Refusal::AlgorithmRefused)
    );
    // A key of that name decides, whatever the others are.
    assert_eq!(
        met(&named, &[other, rsa_jwk(&RSA, "k2")]),
        Some(Refusal::SignatureInvalid)
    );
}

#[test]
fn keys_without_a_name_are_tried_where_none_has_it() {
    let named = json!({"kid": "k9", "alg": "RS256"});
    let nameless = with(rsa_jwk(&RSA, ""), json!({"kid": null}));
    assert_eq!(
        met(&named, &[rsa_jwk(&OTHER_RSA, "k1"), nameless.clone()]),
        None
    );
    assert_eq!(
        met(&named, &[rsa_jwk(&OTHER_RSA, "k9"), nameless]),
        Some(Refusal::SignatureInvalid)
    );
    let other = with(rsa_jwk(&OTHER_RSA, ""), json!({"kid": null}));
    assert_eq!(
        met(&named, &[other, rsa_jwk(&RSA, "k1")]),
        Some(Refusal::KeyUnknown)
    );
}

#[test]
fn few_keys_are_tried() {
    for header in [
        json!({"alg": "RS256"}),
        json!({"kid": "k1", "alg": "RS256"}),
    ] {
        let own = || rsa_jwk(&RSA, "k1");
        let most = crate::keys::MOST_TRIED;
        assert_eq!(met(&header, &vec![own(); most]), None);
        assert_eq!(
            met(&header, &vec![own(); most + 1]),
            Some(Refusal::KeyUnknown)
        );
    }
}

#[test]
fn an_unknown_key_and_no_keys_are_told_apart() {
    let token = sign(&json!({"kid": "nobody", "alg": "RS256"}), &access());
    assert_eq!(refusal(&token), Refusal::KeyUnknown);
    let rules = rules(Kind::Cognito, &["web"]);
    let never = verify(&token, &KeySet::never_loaded(), &rules, LEEWAY, at(NOW));
    assert_eq!(never.unwrap_err(), Refusal::KeysUnavailable);
}
