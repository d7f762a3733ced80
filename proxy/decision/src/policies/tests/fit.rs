//! Routes that the schema has no room for.

use super::*;

#[test]
fn routes_that_do_not_fit_the_schema_are_reported() {
    let policies = policies(READERS);
    let problems = |ask: Ask<'_>| policies.guard(&ask).unwrap_err().to_string();
    assert_eq!(
        problems(Ask {
            action: "nope",
            ..GET
        }),
        "action `nope` is not in the schema, or applies to nothing"
    );
    let put = problems(Ask {
        action: "put /pets/{petId}",
        resource: None,
        ..GET
    });
    assert_eq!(
        put,
        "action `put /pets/{petId}` does not apply to resources of type `Pets::Application`"
    );
    assert_eq!(
        problems(Ask {
            resource: Some("Pets::Nope::\"x\""),
            ..GET
        }),
        "the resource's type `Pets::Nope` is not in the schema"
    );
    assert!(
        problems(Ask {
            resource: Some("x"),
            ..GET
        })
        .contains("is not of the form")
    );
    let braces = problems(Ask {
        resource: Some("Pets::Pet::\"{id} {petId} }\""),
        ..GET
    });
    assert_eq!(braces.lines().count(), 2, "{braces}");
}

#[test]
fn contexts_that_requests_cannot_give_are_reported() {
    let policies = policies_under(STRICT, "");
    let problems = |ask: Ask<'_>| policies.guard(&ask).unwrap_err().to_string();
    let strict = problems(Ask {
        action: "get /strict",
        resource: None,
        parameters: &[],
        headers: &[],
    });
    assert!(
        strict.contains(
            "`headers.x-tenant` is required, and the route lets policies read no such header"
        ),
        "{strict}"
    );
    let owned = problems(Ask {
        action: "get /strict",
        resource: Some("Pets::Owned::\"x\""),
        ..GET
    });
    assert_eq!(
        owned,
        "attribute `owner` of the resource's type `Pets::Owned` is required, and nothing gives it a value"
    );
    let odd = problems(Ask {
        action: "get /odd",
        resource: None,
        ..GET
    });
    assert_eq!(odd.lines().count(), 3, "{odd}");
    let misspelt = problems(Ask {
        action: "get /misspelt",
        resource: None,
        ..GET
    });
    for told in [
        "`certificate.dnss` is none of: subject, dns, uris, emails, ips, fingerprint, serial",
        "`certificate.subject` must be of type String",
        "`certificate.uris` must be of type Set<String>",
    ] {
        assert!(misspelt.contains(told), "{misspelt}");
    }
    assert_eq!(misspelt.lines().count(), 3, "{misspelt}");
    let bare = problems(Ask {
        action: "get /bare",
        resource: None,
        ..GET
    });
    assert!(bare.contains("`certificate` must be a record"), "{bare}");
    assert!(
        problems(Ask {
            action: "get /other",
            resource: None,
            ..GET
        })
        .contains("principals of type `Pets::User`")
    );
}
