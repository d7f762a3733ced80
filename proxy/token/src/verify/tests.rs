use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixture::*;

const LEEWAY: Duration = Duration::from_secs(5);

fn keys() -> KeySet {
    key_set(1, &[rsa_jwk(&RSA, "k1"), ec_jwk("k2"), ed_jwk("k3")])
}

fn outcome(token: &str) -> Result<Claims, Refusal> {
    verify(
        token,
        &keys(),
        &rules(Kind::Cognito, &["web"]),
        LEEWAY,
        at(NOW),
    )
}

fn refusal(token: &str) -> Refusal {
    outcome(token).unwrap_err()
}

fn claims_refusal(changes: Value) -> Refusal {
    refusal(&sign(&header(), &with(access(), changes)))
}

fn oidc(changes: Value) -> Result<Claims, Refusal> {
    oidc_headed(json!({}), changes)
}

fn oidc_headed(header_changes: Value, changes: Value) -> Result<Claims, Refusal> {
    let claims = with(
        access(),
        json!({"token_use": null, "client_id": null, "aud": "api://pets"}),
    );
    let token = sign(&with(header(), header_changes), &with(claims, changes));
    verify(
        &token,
        &keys(),
        &rules(Kind::Oidc, &["api://pets"]),
        LEEWAY,
        at(NOW),
    )
}

#[test]
fn a_good_token_says_who_the_caller_is() {
    let claims = outcome(&sign(&header(), &access())).unwrap();
    assert_eq!(
        (claims.issuer(), claims.iss(), claims.sub()),
        ("staff", ISS, "u1")
    );
    assert_eq!(
        (claims.exp(), claims.iat(), claims.auth_time()),
        (NOW + 3600, Some(NOW), Some(NOW))
    );
    assert_eq!(
        (claims.client_id(), claims.token_use()),
        (Some("web"), Some(TokenUse::Access))
    );
    assert_eq!(
        (claims.jti(), claims.origin_jti()),
        (Some("j1"), Some("o1"))
    );
    assert_eq!(claims.principal(), Some("us-east-1_Test00001|u1"));
    assert_eq!(claims.groups().collect::<Vec<_>>(), ["readers"]);
    assert_eq!(
        claims.scopes().collect::<Vec<_>>(),
        ["aws.cognito.signin.user.admin", "pets/read"]
    );
}

#[test]
fn every_algorithm_of_the_set_verifies() {
    let bare = with(rsa_jwk(&RSA, "k1"), json!({"alg": null}));
    let keys = key_set(
        1,
        &[
            bare,
            ec_jwk("k2"),
            ec384_jwk("k3"),
            ec521_jwk("k4"),
            ed_jwk("k5"),
        ],
    );
    let rules = rules(Kind::Cognito, &["web"]);
    for (kid, algs) in [
        (
            "k1",
            ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].as_slice(),
        ),
        ("k2", &["ES256"]),
        ("k3", &["ES384"]),
        ("k4", &["ES512"]),
        ("k5", &["EdDSA", "Ed25519"]),
    ] {
        for alg in algs {
            for header in [json!({"kid": kid, "alg": alg}), json!({"alg": alg})] {
                let token = sign(&header, &access());
                let verified = verify(&token, &keys, &rules, LEEWAY, at(NOW));
                assert!(verified.is_ok(), "{header}: {verified:?}");
                let forged = format!("{}A", &token[..token.len() - 1]);
                let forged = if forged == token {
                    format!("{}Q", &token[..token.len() - 1])
                } else {
                    forged
                };
                assert!(
                    verify(&forged, &keys, &rules, LEEWAY, at(NOW)).is_err(),
                    "{header}"
                );
            }
        }
    }
    let pss = key_set(1, &[with(rsa_jwk(&RSA, "k1"), json!({"alg": "PS256"}))]);
    let of = |alg| sign(&json!({"kid": "k1", "alg": alg}), &access());
    assert!(verify(&of("PS256"), &pss, &rules, LEEWAY, at(NOW)).is_ok());
    for other in ["RS256", "PS384", "ES256"] {
        let refused = verify(&of(other), &pss, &rules, LEEWAY, at(NOW)).unwrap_err();
        assert_eq!(refused, Refusal::AlgorithmRefused, "{other}");
    }
}

#[test]
fn the_key_fixes_the_algorithm() {
    for alg in ["none", "None", "HS256", "HS512", "RS1", ""] {
        let token = sign(&json!({"kid": "k1", "alg": alg}), &access());
        assert_eq!(refusal(&token), Refusal::AlgorithmRefused, "{alg}");
    }
    // A real signature of the right key, by an algorithm that is not the key's.
    let token = sign(&json!({"kid": "k1", "alg": "PS256"}), &access());
    assert_eq!(refusal(&token), Refusal::AlgorithmRefused);
    let token = sign(&json!({"kid": "k1", "alg": "ES256"}), &access());
    assert_eq!(refusal(&token), Refusal::AlgorithmRefused);
    assert_eq!(
        refusal(&sign(&json!({"kid": "k1"}), &access())),
        Refusal::Malformed
    );
}

#[test]
fn a_header_that_brings_a_key_or_an_extension_is_refused() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jwk", rsa_jwk(&RSA, "k1")),
        ("jku", json!("https://evil.test/jwks.json")),
        ("x5u", json!("https://evil.test/x")),
        ("x5c", json!([])),
        ("cty", json!("JWT")),
        ("cty", json!(null)),
        ("zip", json!("DEF")),
    ] {
        let mut header = header();
        header[name] = value;
        let token = sign(&header, &access());
        assert_eq!(refusal(&token), Refusal::HeaderRefused, "{name}");
    }
}

#[test]
fn a_header_says_an_access_token_or_nothing() {
    for typ in [
        json!(null),
        json!("JWT"),
        json!("jwt"),
        json!("application/jwt"),
        json!("at+jwt"),
        json!("AT+JWT"),
        json!("application/at+jwt"),
        json!("Application/At+Jwt"),
    ] {
        let passed = oidc_headed(json!({"typ": typ}), json!({}));
        assert!(passed.is_ok(), "{typ}: {passed:?}");
    }
    for typ in OTHER_KINDS {
        assert_eq!(
            oidc_headed(json!({"typ": typ}), json!({})).unwrap_err(),
            Refusal::TokenUseInvalid,
            "{typ}"
        );
        let token = sign(&with(header(), json!({"typ": typ})), &access());
        assert_eq!(refusal(&token), Refusal::TokenUseInvalid, "{typ}");
    }
    for typ in ["null", "7", r#"["JWT"]"#] {
        let header = format!(r#"{{"kid":"k1","alg":"RS256","typ":{typ}}}"#);
        let token = sign_text(&header, &access().to_string());
        assert_eq!(refusal(&token), Refusal::Malformed, "{typ}");
    }
}

const OTHER_KINDS: [&str; 12] = [
    "logout+jwt",
    "secevent+jwt",
    "application/secevent+jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "JOSE",
    "JOSE+JSON",
    "JWE",
    "",
    "application/",
    "application/application/jwt",
    "JWT ",
];

#[test]
fn a_name_given_twice_is_refused() {
    let claims = access().to_string();
    let doubled = claims.replacen('{', r#"{"sub":"root","#, 1);
    assert_eq!(
        refusal(&sign_text(&header().to_string(), &doubled)),
        Refusal::Malformed
    );
    assert_eq!(
        refusal(&sign_text(
            r#"{"kid":"k1","alg":"RS256","alg":"RS256"}"#,
            &claims
        )),
        Refusal::Malformed
    );
}

#[test]
fn a_changed_token_does_not_verify() {
    let token = sign(&header(), &access());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = sign(&header(), &with(access(), json!({"sub": "root"})));
    let (other_message, _) = other.rsplit_once('.').unwrap();
    assert_eq!(
        refusal(&format!("{other_message}.{signature}")),
        Refusal::SignatureInvalid
    );
    assert_eq!(refusal(&format!("{message}.")), Refusal::SignatureInvalid);
    assert_eq!(
        refusal(&format!("{message}.AAAA")),
        Refusal::SignatureInvalid
    );
    // Psychic signatures: r = s = 0 (CVE-2022-21449).
    let token = sign(&json!({"kid": "k2", "alg": "ES256"}), &access());
    let (message, _) = token.rsplit_once('.').unwrap();
    assert_eq!(
        refusal(&format!("{message}.{}", b64([0; 64]))),
        Refusal::SignatureInvalid
    );
}

#[test]
fn base64url_has_one_spelling() {
    let token = sign(&json!({"kid": "k2", "alg": "ES256"}), &access());
    assert!(outcome(&token).is_ok());
    assert_eq!(refusal(&format!("{token}==")), Refusal::Malformed);
    assert_eq!(refusal(&format!("{token}\n")), Refusal::Malformed);
    // 64 bytes leave four bits over in the last character: set one of them.
    let (start, last) = token.split_at(token.len() - 1);
    let bumped = char::from(last.as_bytes()[0] + 1);
    assert_eq!(refusal(&format!("{start}{bumped}")), Refusal::Malformed);
}

#[test]
fn a_token_has_three_parts_and_a_size() {
    let token = sign(&header(), &access());
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        &format!("{token}.x"),
        &format!(".{token}"),
        &token.replacen('.', "", 1),
    ] {
        assert_eq!(refusal(bad), Refusal::Malformed, "{bad}");
    }
    assert_eq!(refusal(&"a".repeat(MAX_TOKEN_BYTES + 1)), Refusal::TooLarge);
}

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

#[test]
fn the_issuer_is_one_exact_string() {
    let slashed = format!("{ISS}/");
    for iss in [
        json!(null),
        json!([ISS]),
        json!([ISS, "https://evil.test"]),
        json!(slashed),
        json!(""),
        json!(7),
    ] {
        assert_eq!(
            claims_refusal(json!({"iss": iss})),
            Refusal::IssuerUnknown,
            "{iss}"
        );
    }
}

#[test]
fn times_bound_a_token() {
    assert_eq!(claims_refusal(json!({"exp": null})), Refusal::Malformed);
    assert_eq!(claims_refusal(json!({"exp": NOW - 5})), Refusal::Expired);
    assert!(outcome(&sign(&header(), &with(access(), json!({"exp": NOW - 4})))).is_ok());
    assert!(
        outcome(&sign(
            &header(),
            &with(access(), json!({"nbf": NOW + 5, "iat": NOW + 5}))
        ))
        .is_ok()
    );
    assert_eq!(
        claims_refusal(json!({"nbf": NOW + 6})),
        Refusal::NotYetValid
    );
    assert_eq!(
        claims_refusal(json!({"iat": NOW + 6})),
        Refusal::NotYetValid
    );
}

#[test]
fn times_are_numbers_in_range() {
    for name in ["exp", "nbf", "iat"] {
        for bad in [
            json!("1900000000"),
            json!(-1),
            json!(1e300),
            json!([NOW]),
            json!(true),
            json!(253_402_300_800_u64),
        ] {
            assert_eq!(
                claims_refusal(json!({name: bad})),
                Refusal::Malformed,
                "{name} {bad}"
            );
        }
    }
    assert!(
        outcome(&sign(
            &header(),
            &with(access(), json!({"exp": 1_800_003_600.5}))
        ))
        .is_ok()
    );
}

#[test]
fn a_cognito_token_is_for_its_client() {
    assert_eq!(
        claims_refusal(json!({"client_id": "other"})),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        claims_refusal(json!({"client_id": null, "aud": "web"})),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        claims_refusal(json!({"token_use": null})),
        Refusal::TokenUseInvalid
    );
    assert_eq!(
        claims_refusal(json!({"token_use": "refresh"})),
        Refusal::TokenUseInvalid
    );
    let id = |aud: Value| claims_refusal(json!({"token_use": "id", "client_id": null, "aud": aud}));
    assert_eq!(id(json!("other")), Refusal::AudienceInvalid);
    assert_eq!(id(json!(["web"])), Refusal::AudienceInvalid);
    let id = with(
        access(),
        json!({"token_use": "id", "client_id": null, "aud": "web"}),
    );
    assert_eq!(
        outcome(&sign(&header(), &id)).unwrap().client_id(),
        Some("web")
    );
}

#[test]
fn an_oidc_token_is_for_its_audience() {
    assert_eq!(oidc(json!({})).unwrap().principal(), Some("u1"));
    assert!(oidc(json!({"aud": ["x", "api://pets"]})).is_ok());
    assert_eq!(
        oidc(json!({"aud": null})).unwrap_err(),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        oidc(json!({"aud": []})).unwrap_err(),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        oidc(json!({"aud": ["x"]})).unwrap_err(),
        Refusal::AudienceInvalid
    );
    assert_eq!(
        oidc(json!({"aud": {"api://pets": 1}})).unwrap_err(),
        Refusal::Malformed
    );
    assert_eq!(
        oidc(json!({"aud": ["api://pets", 1]})).unwrap_err(),
        Refusal::Malformed
    );
}

#[test]
fn an_event_is_no_access_token() {
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for events in [logout, json!({}), json!([])] {
        assert_eq!(
            oidc(json!({"events": events})).unwrap_err(),
            Refusal::TokenUseInvalid,
            "{events}"
        );
    }
    // `token_use` says what kind a Cognito token is, and a trigger may add a claim of any name to it.
    let token = sign(&header(), &with(access(), json!({"events": {}})));
    assert!(outcome(&token).is_ok());
}

#[test]
fn claims_of_the_wrong_type_are_refused() {
    for bad in [
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"cognito:groups": [1]}),
        json!({"cognito:groups": {"a": 1}}),
        json!({"scope": 1}),
        json!({"jti": 1}),
        json!({"origin_jti": []}),
    ] {
        assert_eq!(claims_refusal(bad.clone()), Refusal::Malformed, "{bad}");
    }
}

#[test]
fn nothing_about_the_user_is_shown() {
    let shown = format!("{:?}", outcome(&sign(&header(), &access())).unwrap());
    assert!(!shown.contains("u1") && !shown.contains("ann"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(token in ".{0,200}") {
        prop_assert!(outcome(&token).is_err());
    }

    #[test]
    fn any_header_and_payload_are_answered(header in "\\PC{0,60}", payload in "\\PC{0,60}", signature in "[A-Za-z0-9_-]{0,90}") {
        let token = format!("{}.{}.{signature}", b64(header), b64(payload));
        prop_assert!(outcome(&token).is_err());
    }

    #[test]
    fn no_flipped_bit_passes(index in 0_usize..2000, bit in 0_u8..8) {
        let mut bytes = sign(&header(), &access()).into_bytes();
        let index = index % bytes.len();
        bytes[index] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(bytes) {
            prop_assert!(outcome(&token).is_err());
        }
    }

    #[test]
    fn any_claim_value_is_answered(name in "(exp|nbf|iat|aud|sub|iss|scope|client_id|token_use|cognito:groups)",
                                   value in "(-?[0-9]{1,25}(e[0-9]{1,3})?|\"[a-z]{0,5}\"|\\[\\[\\]\\]|\\{\\}|null|true)") {
        if let Ok(value) = serde_json::from_str::<Value>(&value) {
            let mut claims = access();
            claims[&name] = value;
            let _ = outcome(&sign(&header(), &claims));
        }
    }
}
