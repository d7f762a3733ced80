//! The form of tokens and what their headers say.

use super::*;

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
