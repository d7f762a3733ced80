//! What policies see of a request and of its caller.

use super::*;
use crate::Certificate;

#[test]
fn a_path_parameter_is_data() {
    let guard = guard(r#"@id("one") permit(principal, action, resource == Pets::Pet::"1");"#);
    let pet = |pet: &str| {
        decide(
            &guard,
            Req {
                pet: pet.into(),
                ..Req::default()
            },
            &Who::new("u", &[]),
        )
    };
    assert_eq!(pet("1").outcome().code(), Code::Permitted);
    let hostile = pet("1\" || \"");
    assert_eq!(hostile.outcome().code(), Code::NoPermit);
    assert_eq!(hostile.resource(), r#"Pets::Pet::"1\" || \"""#);
}

#[test]
fn path_parameters_are_decoded() {
    let parameter = r#"@id("p") permit(principal, action, resource) unless {
        context.pathParameters has petId && context.pathParameters.petId like "*root@corp*" };"#;
    let resource = r#"@id("p") permit(principal, action, resource) unless { resource == Pets::Pet::"root@corp" };"#;
    for text in [parameter, resource] {
        let guard = guard(text);
        for (pet, expected) in [
            ("root@corp", Code::NoPermit),
            ("root%40corp", Code::NoPermit),
            ("%72oot%40corp", Code::NoPermit),
            ("root%2540corp", Code::Permitted),
            ("%ff", Code::InputAmbiguous),
            ("root%2Fcorp", Code::Permitted),
            ("root%4", Code::InputAmbiguous),
        ] {
            let request = Req {
                pet: pet.into(),
                ..Req::default()
            };
            let decided = decide(&guard, request, &Who::new("u", &[]));
            assert_eq!(decided.outcome().code(), expected, "{pet}");
        }
    }
}

#[test]
fn claims_are_projected() {
    let guard = guard(
        r#"@id("a") permit(principal, action, resource) when { principal has email && principal.email == "a@x" };
           @id("b") permit(principal, action, resource) when { context has token && context.token has scope && context.token.scope.contains("pets/read") };"#,
    );
    assert_eq!(
        code(
            &guard,
            &Who::new("u", &[]).id_token(&json!({"email": "a@x", "other": [1.5]}))
        ),
        Code::Permitted
    );
    assert_eq!(
        code(
            &guard,
            &Who::new("u", &[]).access(&json!({"scope": "openid pets/read"}))
        ),
        Code::Permitted
    );
    assert_eq!(
        code(
            &guard,
            &Who::new("u", &[]).access(&json!({"scope": "openid"}))
        ),
        Code::NoPermit
    );
    assert_eq!(code(&guard, &Who::new("u", &[])), Code::NoPermit);
    let wrong = decide(
        &guard,
        Req::default(),
        &Who::new("u", &[]).id_token(&json!({"email": 7})),
    );
    assert_eq!(wrong.outcome().code(), Code::ClaimsInvalid);
    assert_eq!(
        wrong.outcome().detail(),
        Some("claim `email` has another type than in the schema")
    );
    assert_eq!(wrong.memory(), Memory::Bypass);
    assert_eq!(wrong.principal(), r#"Pets::User::"pool|u""#);
    let unmentioned = Who::new("u", &[]).access(&json!({"scope": "pets/read", "exp": "soon"}));
    assert_eq!(
        code(&guard, &unmentioned),
        Code::ClaimsInvalid,
        "what is declared is checked, mentioned or not"
    );
}

#[test]
fn what_is_required_must_be_there_once() {
    let policies = policies_under(
        STRICT,
        r#"@id("t") permit(principal, action == Pets::Action::"get /strict", resource) when { context.headers["x-tenant"] == "a" };"#,
    );
    let ask = Ask {
        action: "get /strict",
        resource: None,
        parameters: &[],
        headers: &["x-tenant"],
    };
    let strict = policies.guard(&ask).unwrap();
    let who = Who::new("u", &[]).access(&json!({"client_id": "c"}));
    let tenant = |tenant: Option<&str>, who: &Who| {
        decide(
            &strict,
            Req {
                tenant: tenant.map(str::to_owned),
                ..Req::default()
            },
            who,
        )
        .outcome()
        .code()
    };
    assert_eq!(tenant(Some("a"), &who), Code::Permitted);
    assert_eq!(tenant(None, &who), Code::InputMissing);
    assert_eq!(tenant(Some("a"), &Who::new("u", &[])), Code::ClaimsInvalid);
    let query = guard(
        r#"@id("q") permit(principal, action, resource) when { context.queryStringParameters has limit && context.queryStringParameters.limit == "5" };"#,
    );
    let limit = |text: &str| {
        decide(
            &query,
            Req {
                query: text.into(),
                ..Req::default()
            },
            &who,
        )
        .outcome()
        .code()
    };
    assert_eq!(
        (limit("limit=5"), limit("limit=%35&x"), limit("")),
        (Code::Permitted, Code::Permitted, Code::NoPermit)
    );
    assert_eq!(
        (limit("limit=5&limit=6"), limit("kind=1&kind=2&limit=5")),
        (Code::InputAmbiguous, Code::Permitted)
    );
}

/// ASP.NET's query keys ignore case, and PHP makes `_` of a dot: upstream, these are there.
#[test]
fn a_forbid_is_not_passed_by_another_spelling_of_a_query_name() {
    let guard = guard(&format!(
        "{READERS} @id(\"no\") forbid(principal, action, resource) when {{ context.queryStringParameters has limit }};"
    ));
    for (query, expected) in [
        ("", Code::Permitted),
        ("limits=1", Code::Permitted),
        ("limit=1", Code::PolicyDenied),
        ("Limit=1", Code::InputAmbiguous),
        ("limit=1&L%49mit=9", Code::InputAmbiguous),
        ("KIND=1", Code::Permitted),
    ] {
        let request = Req {
            query: query.into(),
            ..Req::default()
        };
        let decided = decide(&guard, request, &Who::new("u", &["readers"]));
        assert_eq!(decided.outcome().code(), expected, "{query}");
    }
}

#[test]
fn a_certificate_is_there_or_not() {
    let guard = guard(
        r#"@id("c") permit(principal, action, resource) when {
            context has certificate && context.certificate.uris.contains("spiffe://example.org/api") &&
            context.certificate.subject == "CN=api" };"#,
    );
    let code = |certificate: Option<Certificate>| {
        let request = Req {
            certificate,
            ..Req::default()
        };
        let decided = decide(&guard, request, &Who::new("u", &[]));
        decided.outcome().code()
    };
    let certificate = Certificate {
        subject: "CN=api".into(),
        uris: vec![
            "https://example.org".into(),
            "spiffe://example.org/api".into(),
        ],
        ..Certificate::default()
    };
    assert_eq!(code(Some(certificate.clone())), Code::Permitted);
    assert_eq!(code(None), Code::NoPermit);
    let other = Certificate {
        uris: vec!["spiffe://example.org/api/".into()],
        ..certificate
    };
    assert_eq!(code(Some(other)), Code::NoPermit);
}

/// As one that the schema requires of headers.
#[test]
fn a_certificate_that_is_required_must_be_shown() {
    let text = r#"@id("s") permit(principal, action == Pets::Action::"get /shown", resource);"#;
    let ask = Ask {
        action: "get /shown",
        resource: None,
        parameters: &[],
        headers: &[],
    };
    let guard = policies_under(STRICT, text).guard(&ask).unwrap();
    for (certificate, code) in [
        (None, Code::InputMissing),
        (Some(Certificate::default()), Code::Permitted),
    ] {
        let request = Req {
            certificate,
            ..Req::default()
        };
        let decided = decide(&guard, request, &Who::new("u", &[]));
        assert_eq!(decided.outcome().code(), code);
    }
}

#[test]
fn time_and_address_are_values_of_their_types() {
    let guard = guard(
        r#"@id("t") permit(principal, action, resource) when {
            context.time == datetime("2026-01-01T12:00:00.123Z") && context.clientIp.isInRange(ip("192.0.2.0/24")) };"#,
    );
    assert!(guard.reads_time() && guard.reads_client_ip());
    assert_eq!(code(&guard, &Who::new("u", &[])), Code::Permitted);
    assert_eq!(
        decide(&guard, Req::default(), &Who::new("u", &[])).memory(),
        Memory::Bypass,
        "the next moment may differ"
    );
    assert!(
        guard
            .decide(Req::default(), &Who::new("u", &[]), UNIX_EPOCH)
            .is_err()
    );
}
