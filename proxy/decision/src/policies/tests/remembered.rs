//! Remembered decisions equal fresh ones.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    GET, SCHEMA, load, noon,
    world::{Req, Who},
};
use crate::{Ask, Basis, Certificate, Code, Denied, Guard, Memory, Outcome, Permit};

/// Conditions of which each mentions something else.
pub(super) const CONDITIONS: [&str; 33] = [
    "principal == Pets::User::\"pool|a\"",
    "principal in Pets::Group::\"pool|a\"",
    "principal is Pets::User in Pets::Group::\"pool|b\"",
    "principal in [Pets::Group::\"a\", Pets::Group::\"other|b\"]",
    "principal has email && principal.email like \"a*\"",
    "principal has level && principal.level + 1 > 1",
    "context has token",
    "context has token && context.token has scope && context.token.scope.contains(\"a\")",
    "context has token.client_id && context.token.client_id == \"a\"",
    "resource == Pets::Pet::\"a\"",
    "context.pathParameters has petId && context.pathParameters.petId like \"*@*\"",
    "resource in Pets::Application::\"Pets\"",
    "context.pathParameters has petId && context.pathParameters.petId == \"b\"",
    "context.queryStringParameters has limit",
    "context.queryStringParameters has kind && context.queryStringParameters.kind == \"a\"",
    "context.headers has \"x-tenant\" && context.headers[\"x-tenant\"] == \"a\"",
    "context.clientIp.isInRange(ip(\"10.0.0.0/31\"))",
    "context.time < datetime(\"2026-01-01T12:00:00Z\")",
    "action in Pets::Action::\"read\"",
    "action == Pets::Action::\"put /pets/{petId}\"",
    "principal.hasTag(\"a\") && principal.getTag(\"a\") == \"a\"",
    "principal has tier && principal.tier.lessThan(decimal(\"1.5\"))",
    "context has token.spent && context.token.spent.greaterThanOrEqual(decimal(\"1.5\"))",
    "context has token.since && context.token.since >= datetime(\"2026-01-01\")",
    "context has token.session && context.token.session > duration(\"1h\")",
    "context has token.net && context.token.net.isInRange(ip(\"10.0.0.0/8\"))",
    "context has token && context.token has net && context.token.net.isIpv4()",
    "context has certificate",
    "context has certificate && context.certificate.subject like \"CN=a*\"",
    "context has certificate && context.certificate.dns.contains(\"a\")",
    "context has certificate && context.certificate.uris.containsAll([\"a\", \"b\"])",
    "context has certificate && [\"a\"] == context.certificate.emails",
    "context has certificate.serial && context.certificate.serial == \"a\"",
];

pub(super) fn policies_of(conditions: &'static [&'static str]) -> impl Strategy<Value = String> {
    let clause = (any::<bool>(), prop::sample::select(conditions));
    let policy = (any::<bool>(), prop::collection::vec(clause, 0..3));
    prop::collection::vec(policy, 1..4).prop_map(|policies| {
        let policies = policies
            .into_iter()
            .enumerate()
            .map(|(at, (permit, clauses))| {
                let effect = if permit { "permit" } else { "forbid" };
                let clauses = clauses.into_iter().map(|(when, condition)| {
                    format!("{} {{ {condition} }}", if when { "when" } else { "unless" })
                });
                format!(
                    "@id(\"p{at}\") {effect}(principal, action, resource) {};",
                    clauses.collect::<Vec<_>>().join(" ")
                )
            });
        policies.collect::<Vec<_>>().join("\n")
    })
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(vec![
        "a".to_owned(),
        "b".to_owned(),
        String::new(),
    ]))
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(prop::sample::select(texts).prop_map(Value::from))
}

/// A decimal, a datetime, a duration and an address.
fn some_extensions() -> impl Strategy<Value = [Option<Value>; 4]> {
    let extensions = (
        one_of(&["1.5", "1.50", "1.4999"]),
        one_of(&["2025-12-31", "2026-01-01T00:00:00Z"]),
        one_of(&["1h", "1h1ms", "60m"]),
        one_of(&["10.0.0.1", "10.0.0.0/7", "::1"]),
    );
    extensions.prop_map(|(spent, since, session, net)| [spent, since, session, net])
}

pub(super) fn some_who() -> impl Strategy<Value = Who> {
    let groups = prop::collection::vec(prop::sample::select(vec!["a", "b", "pool|a", ""]), 0..=3);
    let prefix = prop::sample::select(vec![None, Some("pool"), Some("other"), Some("")]);
    let level = prop::option::of(prop::sample::select(vec![0, 5, i64::MAX]));
    let claims = (
        some_text(),
        level,
        prop::option::of((some_text(), some_text(), some_extensions())),
        (0..2_i64, one_of(&["1.5", "0.1"])),
    );
    let id = prop::sample::select(vec!["a", "b", "pool|a"]);
    (prefix, id, groups, claims).prop_map(
        |(prefix, id, groups, (email, level, token, (exp, tier)))| {
            let some = |pairs: Vec<(&str, Option<Value>)>| -> Value {
                pairs
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect::<BTreeMap<_, _>>()
                    .into_iter()
                    .collect::<Map<_, _>>()
                    .into()
            };
            let who = Who::of(prefix, id, &groups).id_token(&some(vec![
                ("email", email.map(Value::from)),
                ("level", level.map(Value::from)),
                ("tier", tier),
            ]));
            match token {
                Some((scope, client, [spent, since, session, net])) => who.access(&some(vec![
                    ("scope", scope.map(Value::from)),
                    ("client_id", client.map(Value::from)),
                    ("exp", Some(exp.into())),
                    ("spent", spent),
                    ("since", since),
                    ("session", session),
                    ("net", net),
                ])),
                None => who,
            }
        },
    )
}

fn some_certificate() -> impl Strategy<Value = Option<Certificate>> {
    let list = || {
        let names = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..3);
        names.prop_map(|names| names.into_iter().map(str::to_owned).collect())
    };
    let subject = prop::sample::select(vec!["CN=a", "CN=b", ""]);
    let serial = prop::sample::select(vec!["a", "b"]);
    let certificate = (subject, list(), list(), list(), serial).prop_map(
        |(subject, dns, uris, emails, serial)| Certificate {
            subject: subject.to_owned(),
            dns,
            uris,
            emails,
            serial: serial.to_owned(),
            ..Certificate::default()
        },
    );
    prop::option::of(certificate)
}

pub(super) fn some_request() -> impl Strategy<Value = Req> {
    let query = prop::sample::select(vec![
        "",
        "limit=1",
        "kind=a",
        "kind=b&limit=2",
        "kind=a&kind=a",
        "kind=&limit",
        "x;kind=a",
        "kind=a&limit%5B=1",
    ]);
    (
        prop::sample::select(vec!["a", "b", "%61", "a@", "a%40", "%ff", "a%2Fb"]),
        query,
        some_text(),
        0..4_u8,
        some_certificate(),
    )
        .prop_map(|(pet, query, tenant, ip, certificate)| Req {
            pet: pet.to_owned(),
            query: query.to_owned(),
            tenant,
            ip: [10, 0, 0, ip].into(),
            certificate,
        })
}

/// Routes of one snapshot, which share its memory.
pub(super) const ROUTES: [Ask<'static>; 4] = [
    GET,
    // Of an action in no group.
    Ask {
        action: "put /pets/{petId}",
        ..GET
    },
    Ask {
        resource: None,
        ..GET
    },
    Ask {
        headers: &[],
        resource: Some("Pets::Pet::\"a\""),
        ..GET
    },
];

type Asked = (Who, Req, u64, usize);

fn some_asked() -> impl Strategy<Value = Vec<Asked>> {
    let asked = (some_who(), some_request(), 0..2_u64, 0..ROUTES.len());
    prop::collection::vec(asked, 32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    /// Few values for each input, so that many requests of a case meet what others left behind.
    #[test]
    fn remembered_decisions_equal_fresh_ones(text in policies_of(&CONDITIONS), asked in some_asked()) {
        // Conditions that contradict each other make a policy that is refused.
        let loaded = load(SCHEMA, &text);
        prop_assume!(loaded.is_ok());
        let policies = loaded.unwrap();
        let guards = ROUTES.map(|route| policies.guard(&route).unwrap());
        for (who, request, hour, route) in asked {
            let now = noon() - Duration::from_secs(3600 * hour);
            let fresh = said(guards[route].decide_afresh(request.clone(), &who, now));
            // Equal callers have equal digests, as tokens do.
            let who = Who { digest: Some(digest(&format!("{who:?}"))), ..who };
            prop_assert_eq!(said(guards[route].decide(request, &who, now)), fresh, "{}", text);
        }
    }
}

/// What the first of two callers leaves behind is not used for the second, whichever comes first.
fn assert_apart(text: &str, one: &Who, other: &Who) {
    for (first, second) in [(one, other), (other, one)] {
        let guard: Guard = load(SCHEMA, text).unwrap().guard(&GET).unwrap();
        for who in [first, second, first] {
            let fresh = said(guard.decide_afresh(Req::default(), who, noon()));
            let remembered = said(guard.decide(Req::default(), who, noon()));
            assert_eq!(remembered, fresh, "{first:?} before {second:?}");
        }
        assert_ne!(
            guard.decide(Req::default(), first, noon()).is_ok(),
            guard.decide(Req::default(), second, noon()).is_ok()
        );
    }
}

#[test]
fn groups_of_one_name_and_two_issuers_stay_apart() {
    let readers = r#"@id("r") permit(principal in Pets::Group::"pool|readers", action, resource);"#;
    let own = Who::of(Some("pool"), "u", &["readers"]);
    assert_apart(readers, &own, &Who::of(Some("other"), "u", &["readers"]));
    assert_apart(readers, &own, &Who::of(Some(""), "u", &["readers"]));
    assert_apart(readers, &own, &Who::of(None, "u", &["readers"]));
    let bare = r#"@id("r") permit(principal in Pets::Group::"readers", action, resource);"#;
    assert_apart(bare, &Who::of(None, "u", &["readers"]), &own);
}

#[test]
fn lists_of_groups_that_join_alike_stay_apart() {
    let both = r#"@id("r") permit(principal, action, resource) when {
        principal in Pets::Group::"pool|a" && principal in Pets::Group::"pool|b" };"#;
    let two = Who::new("u", &["a", "b"]);
    for groups in [&["ab"][..], &["a,b"], &["a|b"], &["a\0pool|b"], &["a", ""]] {
        assert_apart(both, &two, &Who::new("u", groups));
    }
    let guard = load(SCHEMA, both).unwrap().guard(&GET).unwrap();
    for (groups, remembered) in [(&["a", "b"][..], false), (&["b", "a", "b"], true)] {
        let decided = super::decide(&guard, Req::default(), &Who::new("u", groups));
        assert_eq!(decided.is_remembered(), remembered, "{groups:?}");
    }
}

#[test]
fn absent_and_empty_claims_stay_apart() {
    let email = r#"@id("r") permit(principal, action, resource) when { principal has email };"#;
    let empty = Who::new("u", &[]).id_token(&json!({"email": ""}));
    assert_apart(email, &empty, &Who::new("u", &[]).id_token(&json!({})));
    let token = r#"@id("r") permit(principal, action, resource) when { context has token };"#;
    let empty = Who::new("u", &[]).access(&json!({}));
    assert_apart(token, &empty, &Who::new("u", &[]));
}

/// Lists that would join alike, and fields that would change places, are not one certificate.
#[test]
fn certificates_that_differ_in_what_is_read_stay_apart() {
    let text = r#"@id("r") permit(principal, action, resource) when {
        context has certificate && context.certificate.dns.contains("a") && context.certificate.uris.contains("b") };"#;
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let of = |dns: &[&str], uris: &[&str]| Certificate {
        dns: names(dns),
        uris: names(uris),
        ..Certificate::default()
    };
    let guard = load(SCHEMA, text).unwrap().guard(&GET).unwrap();
    let decide = |certificate: Option<Certificate>| {
        let request = Req {
            certificate,
            ..Req::default()
        };
        super::decide(&guard, request, &Who::new("u", &[]))
    };
    let both = of(&["a"], &["b"]);
    let others = [
        None,
        Some(Certificate::default()),
        Some(of(&["a", "b"], &[])),
        Some(of(&[], &["a", "b"])),
        Some(of(&["ab"], &[])),
        Some(of(&["a"], &[])),
        Some(of(&["b"], &["a"])),
    ];
    for (certificate, code) in [(Some(both.clone()), Code::Permitted)]
        .into_iter()
        .chain(others.map(|other| (other, Code::NoPermit)))
    {
        let first = decide(certificate.clone());
        assert_eq!(first.outcome().code(), code, "{certificate:?}");
        assert_eq!(first.memory(), Memory::Miss, "{certificate:?}");
        let again = decide(certificate);
        assert_eq!(
            (again.outcome().code(), again.memory()),
            (code, Memory::Hit)
        );
    }
    let unread = Certificate {
        serial: "7".into(),
        ..both
    };
    assert_eq!(
        decide(Some(unread)).memory(),
        Memory::Hit,
        "nobody asks for it"
    );
}

/// Users and groups as resources, which the schema also lets be in the application.
const USERS: &str = r#"namespace Pets {
    entity Group in [Application];
    entity Application;
    entity User in [Group, Application] = { email?: String, level?: Long };
    action "get /users/{petId}" appliesTo { principal: User, resource: [User, Group] };
}"#;

const GET_USER: Ask<'static> = Ask {
    action: "get /users/{petId}",
    resource: Some("Pets::User::\"pool|{petId}\""),
    ..GET
};

const GET_GROUP: Ask<'static> = Ask {
    resource: Some("Pets::Group::\"pool|{petId}\""),
    ..GET_USER
};

/// Conditions of which each mentions something else of a resource that may be the caller or its group.
const SELF_CONDITIONS: [&str; 12] = [
    "resource has email && resource.email == \"a\"",
    "resource has level",
    "resource has level && resource.level + 1 > 1",
    "principal has email && principal.email == \"a\"",
    "principal == resource",
    "resource == Pets::User::\"pool|a\"",
    "resource in Pets::Group::\"pool|a\"",
    "principal in Pets::Group::\"pool|a\"",
    "resource in Pets::Application::\"Pets\"",
    "principal in Pets::Application::\"Pets\"",
    "principal in resource",
    "[resource].contains(principal)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn remembered_decisions_about_users_and_groups_equal_fresh_ones(
        text in policies_of(&SELF_CONDITIONS),
        asked in prop::collection::vec((some_who(), some_request(), 0..2_usize), 32),
    ) {
        let loaded = load(USERS, &text);
        prop_assume!(loaded.is_ok());
        let policies = loaded.unwrap();
        let guards = [GET_USER, GET_GROUP].map(|route| policies.guard(&route).unwrap());
        for (who, request, route) in asked {
            let fresh = said(guards[route].decide_afresh(request.clone(), &who, noon()));
            let who = Who { digest: Some(digest(&format!("{who:?}"))), ..who };
            prop_assert_eq!(said(guards[route].decide(request, &who, noon())), fresh, "{}", text);
        }
    }
}

/// Whether each of two users, who are in the group of their own id and in another, may ask for user or group 1; fresh and
/// remembered.
fn who_may(route: &Ask<'_>, text: &str) -> [bool; 2] {
    let guard = load(USERS, text).unwrap().guard(route).unwrap();
    ["1", "2"].map(|id| {
        let who = Who::new(id, &["a", id]).id_token(&json!({"email": "a"}));
        let fresh = said(guard.decide_afresh(Req::default(), &who, noon()));
        let remembered = said(guard.decide(Req::default(), &who, noon()));
        assert_eq!(remembered, fresh, "{id}: {text}");
        fresh.0.is_permit()
    })
}

/// A resource that is the caller has the caller's groups and attributes and is in the application, as is a caller in a group
/// that is the resource, whatever other policies mention.
#[test]
fn a_caller_who_is_the_resource_is_one_entity() {
    let others = [
        "",
        "@id(\"x\") forbid(principal, action, resource) when { principal has email && principal.email == \"\" };",
        "@id(\"x\") forbid(principal, action, resource) when { !(resource in Pets::Application::\"Pets\") };",
    ];
    for (route, condition, of_others) in [
        (GET_USER, "resource in Pets::Group::\"pool|a\"", false),
        (GET_USER, "resource has email", false),
        (
            GET_USER,
            "resource has email && resource.email like \"a*\"",
            false,
        ),
        (GET_USER, "resource in Pets::Application::\"Pets\"", true),
        (GET_USER, "principal in Pets::Application::\"Pets\"", false),
        (GET_GROUP, "principal in resource", false),
        (GET_GROUP, "resource in Pets::Application::\"Pets\"", true),
        (GET_GROUP, "principal in Pets::Application::\"Pets\"", false),
    ] {
        for other in others {
            let text = format!(
                "@id(\"r\") permit(principal, action, resource) when {{ {condition} }}; {other}"
            );
            assert_eq!(who_may(&route, &text), [true, of_others], "{text}");
        }
    }
}

#[test]
fn a_forbid_on_being_in_the_application_holds_for_callers_in_the_resource() {
    let text = r#"@id("r") permit(principal, action, resource);
        @id("f") forbid(principal in Pets::Application::"Pets", action, resource);"#;
    for route in [GET_USER, GET_GROUP] {
        assert_eq!(who_may(&route, text), [false, true], "{route:?}");
    }
}

/// Cedar has no entity for a caller who is in itself, whoever else was permitted before for equal reasons.
#[test]
fn a_caller_who_is_its_own_group_is_refused_among_others() {
    let schema = r#"namespace Pets {
        entity User in [User] = {};
        entity Pet;
        action "get /x" appliesTo { principal: User, resource: Pet };
    }"#;
    let everybody = r#"@id("e") permit(principal, action, resource);"#;
    let policies = super::load_with(schema, everybody, "Pets::User").unwrap();
    let ask = Ask {
        action: "get /x",
        resource: Some(r#"Pets::Pet::"1""#),
        parameters: &[],
        headers: &[],
    };
    let guard = policies.guard(&ask).unwrap();
    let own = Who {
        digest: Some(digest("own")),
        ..Who::new("own", &["own"])
    };
    for (who, code) in [
        (Who::new("u", &["own"]), Code::Permitted),
        (own.clone(), Code::ClaimsInvalid),
        (own, Code::ClaimsInvalid),
    ] {
        assert_eq!(super::code(&guard, &who), code, "{who:?}");
    }
}

fn digest(text: &str) -> [u8; 16] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref()[..16].try_into().unwrap()
}

/// Everything a decision says, but whether it was remembered.
fn said(decision: Result<Permit<Req>, Denied<Req>>) -> (Outcome, String, String) {
    let decided = match decision.map(Permit::into_parts) {
        Ok((_, Basis::Policies(decided))) => decided,
        Ok((_, basis)) => panic!("{basis:?}"),
        Err(denied) => denied.decided,
    };
    (
        decided.outcome().clone(),
        decided.principal().to_owned(),
        decided.resource().to_owned(),
    )
}
