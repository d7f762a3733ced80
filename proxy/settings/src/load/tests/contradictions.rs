//! What a route asks of tokens that none can have, and what is odd but may be meant.

use super::{Folder, GOOD};

const BEARER: &str = "issuers: [staff, aws], token_use: [access], scopes: [pets/read]";

/// The good settings, with these requirements on a route of their own.
fn asking(bearer: &str) -> String {
    GOOD.replace(BEARER, bearer)
}

#[test]
fn what_no_token_can_have_is_told() {
    let folder = Folder::new();
    let place = |at: &str| format!("routes[1].authenticate.bearer.{at}");
    for (bearer, expected) in [
        (
            "issuers: [aws], token_use: [id], scopes: [pets/read]",
            &["token_use: ID tokens have no scope"][..],
        ),
        (
            "issuers: [aws, okta], token_use: [access, id], scopes: [pets/read]",
            &["token_use: ID tokens have no scope"],
        ),
        (
            "issuers: [aws], scopes: ['pets/read pets/write', '', 'a\"b', good]",
            &[
                "scopes[0]: can be in no token",
                "scopes[1]: can be",
                "scopes[2]: can be",
            ],
        ),
        (
            "issuers: [aws], claims: {client_id: [web, shop]}",
            &[
                "claims.client_id[1]: no token that the route takes has `shop` here: its issuers leave `web`",
            ],
        ),
        (
            "issuers: [aws], token_use: [id], claims: {aud: [shop]}",
            &["claims.aud[0]: no token that the route takes has `shop` here"],
        ),
        (
            "issuers: [aws], token_use: [id], claims: {client_id: [web]}",
            &["claims.client_id[0]: no token that the route takes has this claim"],
        ),
        (
            "issuers: [aws], claims: {token_use: [id]}",
            &[
                "claims.token_use[0]: no token that the route takes has `id` here: its issuers leave `access`",
            ],
        ),
        (
            "issuers: [okta], claims: {iss: [https://other.okta.com]}",
            &["claims.iss[0]: no token that the route takes has `https://other.okta.com` here"],
        ),
        (
            "issuers: [okta, aws], claims: {iss: [https://acme.okta.com]}",
            &["issuers[1]: no token of `aws` can pass: none has what `claims.iss` asks for"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|start| place(start)).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        folder.expect(&asking(bearer), &expected);
    }
}

#[test]
fn what_a_token_can_have_is_not() {
    let folder = Folder::new();
    for bearer in [
        "issuers: [aws], token_use: [access, id], claims: {client_id: [web]}",
        "issuers: [aws], token_use: [access, id], claims: {aud: [anything]}",
        "issuers: [aws], token_use: [access, id], claims: {token_use: [id]}",
        "issuers: [staff], claims: {client_id: [made-by-a-call]}",
        "issuers: [staff, aws], claims: {client_id: [made-by-a-call, web]}",
        // An `aud` may be a list, with more in it than what the issuer's audiences ask for.
        "issuers: [okta], claims: {aud: [more], client_id: [any], token_use: [odd], scope: [x]}",
        "issuers: [okta], scopes: ['urn:x:y/z.read']",
        "issuers: [okta, aws], claims: {iss: ['https://acme.okta.com', 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12']}",
        "issuers: [aws], claims: {'custom:plan': [gold]}",
    ] {
        let loaded = folder.load(&asking(bearer));
        assert!(loaded.is_ok(), "{bearer}: {}", loaded.unwrap_err());
    }
}

#[test]
fn an_issuer_with_problems_of_its_own_contradicts_nothing() {
    let yaml =
        asking("issuers: [aws, okta], claims: {client_id: [shop]}").replace("kind: oidc, ", "");
    Folder::new().expect(&yaml, &["issuers.okta.kind: is missing"]);
}

/// Each warning as `place: message`.
fn warnings(yaml: &str) -> Vec<String> {
    let settings = Folder::new().load(yaml).unwrap();
    let warnings = settings.warnings.iter();
    warnings
        .map(|warning| format!("{}: {}", warning.place, warning.message))
        .collect()
}

#[test]
fn what_is_odd_is_a_warning() {
    assert_eq!(warnings(GOOD), [""; 0]);
    let clients = "clients: [{id: web, flows: [USER_SRP_AUTH]}], ";
    for (from, to, expected) in [
        (
            "https://acme.okta.com",
            "https://login.example.com",
            "issuers.okta.issuer: `login.example.com` is a name for examples",
        ),
        (
            "https://acme.okta.com",
            "https://login.invalid/x",
            "issuers.okta.issuer: `login.invalid` is a name for examples",
        ),
        (
            clients,
            "",
            "issuers.staff.embedded: `us-east-1_Staff0001` is declared without clients",
        ),
        (
            "id: us-east-1_Staff0001,",
            "id: us-east-1_Other0001,",
            "issuers.staff.embedded: `us-east-1_Staff0001` is not under `pools.declare`",
        ),
    ] {
        let found = warnings(&GOOD.replace(from, to));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
    assert_eq!(
        warnings(&GOOD.replace("https://acme.okta.com", "https://my-example.com")),
        [""; 0]
    );
}
