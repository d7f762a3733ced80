mod any;
mod claims;
mod form;
mod keys;

use serde_json::{Value, json};

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
fn nothing_about_the_user_is_shown() {
    let shown = format!("{:?}", outcome(&sign(&header(), &access())).unwrap());
    assert!(!shown.contains("u1") && !shown.contains("ann"), "{shown}");
}
