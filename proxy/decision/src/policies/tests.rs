mod effect;
mod fit;
mod inputs;
mod remembered;
mod scoped;
mod unrelated;
mod world;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use self::world::{Req, Who};
use crate::{Ask, Basis, Code, Config, Decided, Guard, Memory, Policies};

const SCHEMA: &str = r#"
    namespace Pets {
        type Token = {
            scope?: Set<String>, client_id?: String, exp?: Long,
            spent?: decimal, since?: datetime, session?: duration, net?: ipaddr,
        };
        type Certificate = {
            subject: String, dns: Set<String>, uris: Set<String>, emails: Set<String>, ips: Set<String>,
            fingerprint: String, serial?: String,
        };
        type Ctx = {
            token?: Token, certificate?: Certificate, method: String, host: String, path: String, clientIp: ipaddr, time: datetime,
            pathParameters: { petId?: String }, queryStringParameters: { limit?: String, kind?: String },
            headers: { "x-tenant"?: String },
        };
        entity Group;
        entity User in [Group] = { email?: String, level?: Long, tier?: decimal } tags String;
        entity Application;
        entity Pet in [Application];
        action read;
        action "get /pets/{petId}" in [read] appliesTo { principal: User, resource: [Pet, Application], context: Ctx };
        action "put /pets/{petId}" appliesTo { principal: User, resource: Pet, context: Ctx };
    }
"#;

const STRICT: &str = r#"
    namespace Pets {
        entity Group;
        entity User in [Group];
        entity Application;
        entity Owned { owner: User };
        action "get /strict" appliesTo {
            principal: User, resource: [Application, Owned],
            context: { token: { client_id: String }, headers: { "x-tenant": String } },
        };
        action "get /odd" appliesTo { principal: User, resource: Application, context: { tenant: String, method: Long, headers: { "x": Long } } };
        action "get /other" appliesTo { principal: Group, resource: Application };
        action "get /shown" appliesTo {
            principal: User, resource: Application, context: { certificate: { uris: Set<String> } },
        };
        action "get /misspelt" appliesTo {
            principal: User, resource: Application, context: { certificate?: { dnss?: Set<String>, uris: String, subject: Set<String> } },
        };
        action "get /bare" appliesTo { principal: User, resource: Application, context: { certificate?: String } };
    }
"#;

fn policies(text: &str) -> Policies {
    policies_under(SCHEMA, text)
}

fn policies_under(schema: &str, text: &str) -> Policies {
    load(schema, text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn load(schema: &str, text: &str) -> Result<Policies, crate::Problems> {
    load_with(schema, text, "Pets::Group")
}

fn load_with(schema: &str, text: &str, group: &str) -> Result<Policies, crate::Problems> {
    load_as(schema, text, |config| config.group = Some(group.into()))
}

fn load_as(
    schema: &str,
    text: &str,
    change: impl FnOnce(&mut Config),
) -> Result<Policies, crate::Problems> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pets.cedarschema"), schema).unwrap();
    std::fs::write(dir.path().join("pets.cedar"), text).unwrap();
    let mut config = Config {
        path: dir.path().to_owned(),
        principal: "Pets::User".into(),
        group: Some("Pets::Group".into()),
        remembered_bytes: Config::REMEMBERED_BYTES,
    };
    change(&mut config);
    Policies::load(&config, 7)
}

const GET: Ask<'static> = Ask {
    action: "get /pets/{petId}",
    resource: Some(r#"Pets::Pet::"{petId}""#),
    parameters: &["petId"],
    headers: &["x-tenant"],
};

fn guard(text: &str) -> Guard {
    policies(text).guard(&GET).unwrap()
}

/// 2026-01-01T12:00:00.123Z
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_767_268_800_123)
}

fn decide(guard: &Guard, request: Req, who: &Who) -> Decided {
    match guard.decide(request, who, noon()) {
        Ok(permit) => match permit.into_parts().1 {
            Basis::Policies(decided) => *decided,
            basis => panic!("{basis:?}"),
        },
        Err(denied) => *denied.decided,
    }
}

fn code(guard: &Guard, who: &Who) -> Code {
    decide(guard, Req::default(), who).outcome().code()
}

const READERS: &str = r#"@id("readers") permit(principal in Pets::Group::"pool|readers", action in Pets::Action::"read", resource);"#;

#[test]
fn groups_action_groups_and_resources_are_seen() {
    let guard = guard(READERS);
    let decided = decide(&guard, Req::default(), &Who::new("u", &["readers"]));
    assert_eq!(decided.outcome().code(), Code::Permitted);
    assert_eq!(
        decided.outcome().policies().collect::<Vec<_>>(),
        ["readers"]
    );
    assert_eq!(decided.principal(), r#"Pets::User::"pool|u""#);
    assert_eq!(decided.action(), r#"Pets::Action::"get /pets/{petId}""#);
    assert_eq!(
        (decided.resource(), decided.generation()),
        (r#"Pets::Pet::"1""#, 7)
    );
    assert_eq!(code(&guard, &Who::new("u", &["writers"])), Code::NoPermit);
    assert_eq!(guard.policies(), ["readers"]);
}

#[test]
fn resources_are_in_the_application_where_the_schema_says_so() {
    let guard =
        guard(r#"@id("app") permit(principal, action, resource in Pets::Application::"Pets");"#);
    assert_eq!(code(&guard, &Who::new("u", &[])), Code::Permitted);
}

#[test]
fn forbids_win_and_a_broken_forbid_denies() {
    let both = guard(&format!(
        "{READERS} @id(\"no\") forbid(principal, action, resource) when {{ context.method == \"GET\" }};"
    ));
    let decided = decide(&both, Req::default(), &Who::new("u", &["readers"]));
    assert_eq!(
        (
            decided.outcome().code(),
            decided.outcome().policies().collect::<Vec<_>>()
        ),
        (Code::PolicyDenied, vec!["no"])
    );
    // The sum overflows for one caller only, which strict validation cannot see.
    let overflow = "when { principal has level && principal.level + 1 > 10 }";
    let broken = guard(&format!(
        "{READERS} @id(\"no\") forbid(principal, action, resource) {overflow};"
    ));
    let who = Who::new("u", &["readers"]).id_token(&json!({"level": i64::MAX}));
    let decided = decide(&broken, Req::default(), &who);
    assert_eq!(decided.outcome().code(), Code::PolicyError);
    assert_eq!(decided.outcome().errors()[0].policy.as_ref(), "no");
    assert_eq!(code(&broken, &Who::new("u", &["readers"])), Code::Permitted);
    let permit = guard(&format!(
        "{READERS} @id(\"more\") permit(principal, action, resource) {overflow};"
    ));
    let decided = decide(&permit, Req::default(), &who);
    assert_eq!(
        (decided.outcome().code(), decided.outcome().errors().len()),
        (Code::Permitted, 1)
    );
    assert_eq!(
        code(&permit, &who.clone().id_token(&json!({"level": 20}))),
        Code::Permitted
    );
}

#[test]
fn no_policies_deny() {
    assert_eq!(
        code(&guard(""), &Who::new("u", &["readers"])),
        Code::NoPolicies
    );
    let other = guard(
        r#"@id("put") permit(principal, action == Pets::Action::"put /pets/{petId}", resource);"#,
    );
    assert_eq!(code(&other, &Who::new("u", &[])), Code::NoPermit);
    assert!(
        other.policies().is_empty(),
        "a policy of another action is not evaluated"
    );
}

#[test]
fn equal_decisions_are_remembered() {
    let guard = guard(READERS);
    let reader = |id, digest| Who {
        digest,
        ..Who::new(id, &["readers"])
    };
    let first = decide(&guard, Req::default(), &reader("u", Some([1; 16])));
    assert_eq!(first.memory(), Memory::Miss);
    let again = decide(
        &guard,
        Req {
            pet: "2".into(),
            ..Req::default()
        },
        &reader("v", Some([2; 16])),
    );
    assert!(
        again.is_remembered(),
        "no policy asks who or which pet it is"
    );
    assert_eq!(
        (again.principal(), again.resource()),
        (r#"Pets::User::"pool|v""#, r#"Pets::Pet::"2""#)
    );
    assert!(!decide(&guard, Req::default(), &Who::new("u", &["other"])).is_remembered());
}

#[test]
fn a_set_without_memory_decides_anew() {
    let policies = load_as(SCHEMA, READERS, |config| config.remembered_bytes = 0).unwrap();
    let guard = policies.guard(&GET).unwrap();
    for _ in 0..2 {
        let decided = decide(&guard, Req::default(), &Who::new("u", &["readers"]));
        assert_eq!(
            (decided.outcome().code(), decided.memory()),
            (Code::Permitted, Memory::Bypass)
        );
    }
}

#[test]
fn a_huge_request_is_decided_and_forgotten() {
    let guard = guard(
        r#"@id("a") permit(principal, action, resource) when { context.headers has "x-tenant" && context.headers["x-tenant"] like "a*" };"#,
    );
    let tenant = |length| Req {
        tenant: Some("a".repeat(length)),
        ..Req::default()
    };
    for (length, memory) in [(10, Memory::Hit), (10_000, Memory::Bypass)] {
        decide(&guard, tenant(length), &Who::new("u", &[]));
        let again = decide(&guard, tenant(length), &Who::new("u", &[]));
        assert_eq!(
            (again.outcome().code(), again.memory()),
            (Code::Permitted, memory)
        );
    }
}
