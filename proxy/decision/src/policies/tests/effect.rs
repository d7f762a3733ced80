//! What is said of routes that can permit nobody, and that it is never said of others.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    GET, SCHEMA, STRICT, guard, load, load_with, noon, policies, policies_under,
    remembered::{CONDITIONS, ROUTES, policies_of, some_request, some_who},
    scoped::some_policies,
    unrelated::{outcome, resource, some_world},
    world::{Req, Who},
};
use crate::{Ask, Callers, Guard};

const ACCESS: Callers<'static> = Callers {
    prefix: Some("pool"),
    by_id_token: false,
    by_certificate: true,
};
const UNSHOWN: Callers<'static> = Callers {
    by_certificate: false,
    ..ACCESS
};
const ID: Callers<'static> = Callers {
    by_id_token: true,
    ..ACCESS
};
const NAMELESS: Callers<'static> = Callers {
    prefix: None,
    ..ACCESS
};

fn never(guard: &Guard, callers: &Callers<'_>) -> String {
    guard
        .never(callers)
        .map_or_else(String::new, |never| never.to_string())
}

/// A permit of this scope and this rest.
fn permit(scope: &str, rest: &str) -> Guard {
    guard(&format!("@id(\"p\") permit({scope}) {rest};"))
}

#[test]
fn a_set_that_says_nothing_of_the_route_is_told() {
    assert_eq!(never(&guard(""), &ACCESS), "there are no policies");
    let other =
        r#"@id("p") permit(principal, action == Pets::Action::"put /pets/{petId}", resource);"#;
    let of_route = "no `permit` applies to Pets::Action::\"get /pets/{petId}\" and a resource of type `Pets::Pet`";
    assert_eq!(never(&guard(other), &ACCESS), of_route);
    let impossible =
        r#"@id("p") permit(principal, action, resource) when { resource is Pets::Application };"#;
    assert_eq!(never(&guard(impossible), &ACCESS), of_route);
    let forbid =
        r#"@id("f") forbid(principal, action, resource) when { context.method == "GET" };"#;
    assert_eq!(never(&guard(forbid), &ACCESS), of_route);
}

#[test]
fn names_that_no_caller_has_are_told() {
    for asked in [
        "principal == Pets::User::\"other|u\"",
        "principal == Pets::User::\"u\"",
        "principal == Pets::User::\"poolside|u\"",
        "principal in Pets::Group::\"other|g\"",
        "principal in Pets::User::\"other|g\"",
        "principal is Pets::User in Pets::Group::\"g\"",
    ] {
        let scoped = never(&permit(&format!("{asked}, action, resource"), ""), &ACCESS);
        assert!(
            scoped.starts_with("policy `p` asks for `principal "),
            "{scoped}"
        );
        assert!(
            scoped.ends_with("access tokens and names as `pool|…`"),
            "{scoped}"
        );
        let condition = permit(
            "principal, action, resource",
            &format!("when {{ {asked} }}"),
        );
        let condition = never(&condition, &ACCESS);
        assert!(
            condition.starts_with("policy `p` asks for `when {"),
            "{condition}"
        );
        let nameless = permit(&format!("{asked}, action, resource"), "");
        assert_eq!(
            nameless.never(&NAMELESS),
            None,
            "an id without prefix may be any: {asked}"
        );
    }
    for asked in [
        "principal == Pets::User::\"pool|u\"",
        "principal in Pets::Group::\"pool|other|g\"",
        "principal is Pets::User",
    ] {
        assert_eq!(
            permit(&format!("{asked}, action, resource"), "").never(&ACCESS),
            None
        );
    }
    let either = permit(
        "principal, action, resource",
        "when { principal in [Pets::Group::\"other|g\", Pets::Group::\"pool|g\"] }",
    );
    assert_eq!(either.never(&ACCESS), None);
}

#[test]
fn groups_of_a_type_that_callers_have_none_of_are_told() {
    let schema = SCHEMA.replace(
        "entity User in [Group]",
        "entity Team; entity User in [Group, Team]",
    );
    let text = r#"@id("p") permit(principal in Pets::Team::"pool|a", action, resource);"#;
    let guard = policies_under(&schema, text).guard(&GET).unwrap();
    assert!(
        never(&guard, &NAMELESS).contains("Pets::Team"),
        "{}",
        never(&guard, &NAMELESS)
    );
}

#[test]
fn resources_that_the_route_never_has_are_told() {
    let fixed = Ask {
        resource: None,
        ..GET
    };
    for (asked, can) in [
        ("resource == Pets::Application::\"Pets\"", true),
        ("resource in Pets::Application::\"Pets\"", true),
        ("resource == Pets::Application::\"pets\"", false),
        ("resource in Pets::Application::\"pets\"", false),
    ] {
        let text = format!("@id(\"p\") permit(principal, action, {asked});");
        let guard = policies(&text).guard(&fixed).unwrap();
        assert_eq!(guard.never(&ACCESS).is_none(), can, "{asked}");
    }
    let template = Ask {
        resource: Some("Pets::Pet::\"dog {petId}!\""),
        ..GET
    };
    for (id, can) in [("dog 1!", true), ("cat 1!", false), ("dog 1", false)] {
        let text =
            format!("@id(\"p\") permit(principal, action, resource == Pets::Pet::\"{id}\");");
        let guard = policies(&text).guard(&template).unwrap();
        assert_eq!(guard.never(&ACCESS).is_none(), can, "{id}");
    }
}

#[test]
fn what_the_kind_of_token_does_not_give_is_told() {
    let email = permit(
        "principal, action, resource",
        "when { principal has email }",
    );
    assert_eq!(email.never(&ID), None);
    assert!(never(&email, &ACCESS).contains("callers have access tokens"));
    let token = permit(
        "principal, action, resource",
        "when { context has token.scope }",
    );
    assert_eq!(token.never(&ACCESS), None);
    assert!(never(&token, &ID).contains("callers have ID tokens"));
    let required = SCHEMA.replace("email?: String", "email: String");
    let text = r#"@id("p") permit(principal, action, resource);"#;
    let guard = policies_under(&required, text).guard(&GET).unwrap();
    assert!(never(&guard, &ACCESS).starts_with("attribute `email` of `Pets::User` is required"));
    assert_eq!(guard.never(&ID), None);
    let strict = Ask {
        action: "get /strict",
        resource: None,
        ..GET
    };
    let guard = policies_under(STRICT, text).guard(&strict).unwrap();
    assert!(never(&guard, &ID).starts_with("the action requires `context.token`"));
    assert_eq!(guard.never(&ACCESS), None);
}

#[test]
fn a_forbid_of_everything_is_told() {
    let both = |forbid: &str| {
        guard(&format!(
            "@id(\"p\") permit(principal, action, resource); @id(\"f\") forbid({forbid};"
        ))
    };
    for forbid in [
        "principal, action, resource)",
        "principal is Pets::User, action in Pets::Action::\"read\", resource is Pets::Pet)",
        "principal, action, resource) when { true }",
        "principal, action, resource) when { context has token || !(context has token) }",
        "principal, action, resource) unless { principal has email }",
        "principal, action, resource) unless { principal in Pets::Group::\"other|g\" }",
    ] {
        assert_eq!(
            never(&both(forbid), &ACCESS),
            "policy `f` forbids every request",
            "{forbid}"
        );
    }
    for forbid in [
        "principal in Pets::Group::\"pool|g\", action, resource)",
        "principal, action, resource == Pets::Pet::\"1\")",
        "principal, action, resource) when { context.method == \"GET\" }",
        // Fails for some, and a `forbid` that fails is told apart from one that forbids.
        "principal, action, resource) unless { principal has level && principal.level + 1 > 1 }",
    ] {
        let callers = if forbid.contains("level") {
            &ID
        } else {
            &ACCESS
        };
        assert_eq!(both(forbid).never(callers), None, "{forbid}");
    }
}

#[test]
fn permits_that_no_caller_of_a_route_can_meet_are_told_one_by_one() {
    let guard = guard(
        r#"@id("a") permit(principal in Pets::Group::"pool|a", action, resource);
           @id("b") permit(principal in Pets::Group::"other|b", action, resource);
           @id("c") permit(principal in Pets::Group::"third|c", action, resource);"#,
    );
    let other = Callers {
        prefix: Some("other"),
        ..ACCESS
    };
    let unmet = guard.unmet(&[ACCESS, other]);
    let ids: Vec<_> = unmet.iter().map(|unmet| &*unmet.policy).collect();
    assert_eq!(ids, ["c"]);
    assert_eq!(guard.never(&ACCESS), None);
}

#[test]
fn certificates_that_no_listener_asks_for_are_told() {
    let shown = permit(
        "principal, action, resource",
        "when { context has certificate && context.certificate.uris.contains(\"a\") }",
    );
    assert_eq!(shown.never(&ACCESS), None);
    assert!(never(&shown, &UNSHOWN).contains("no certificates, for which no listener asks"));
    let unless = guard(
        r#"@id("p") permit(principal, action, resource);
           @id("f") forbid(principal, action, resource) unless { context has certificate };"#,
    );
    assert_eq!(unless.never(&ACCESS), None);
    assert_eq!(never(&unless, &UNSHOWN), "policy `f` forbids every request");
    let other = permit("principal, action, resource", "when { context has token }");
    assert_eq!(other.never(&UNSHOWN), None);
    let ask = Ask {
        action: "get /shown",
        resource: None,
        ..GET
    };
    let text = r#"@id("p") permit(principal, action, resource);"#;
    let required = policies_under(STRICT, text).guard(&ask).unwrap();
    assert_eq!(required.never(&ACCESS), None);
    assert!(never(&required, &UNSHOWN).starts_with("the action requires `context.certificate`"));
}

/// The kind of caller that a test's caller is, whose requests come with a certificate or never do.
fn kind<'w>(who: &'w Who, request: &Req) -> Callers<'w> {
    Callers {
        prefix: who.prefix.as_deref(),
        by_id_token: who.access_claims.is_none(),
        by_certificate: request.certificate.is_some(),
    }
}

/// A caller with one token, as all have; the tests' own may have both.
fn one_token(mut who: Who) -> Who {
    if who.access_claims.is_some() {
        who.id_claims = None;
    }
    who
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn nobody_is_permitted_where_nobody_can_be(
        text in policies_of(&CONDITIONS), asked in prop::collection::vec((some_who(), some_request()), 16),
    ) {
        let loaded = load(SCHEMA, &text);
        prop_assume!(loaded.is_ok());
        let policies = loaded.unwrap();
        let guards = ROUTES.map(|route| policies.guard(&route).unwrap());
        for (who, request) in asked {
            let who = one_token(who);
            for guard in &guards {
                if let Some(never) = guard.never(&kind(&who, &request)) {
                    let permit = guard.decide_afresh(request.clone(), &who, noon());
                    prop_assert!(permit.is_err(), "{} {}", never, text);
                }
            }
        }
    }

    /// Likewise where callers, groups and resources can be one another.
    #[test]
    fn nobody_is_permitted_where_nobody_can_be_in_any_world(
        world in some_world(),
        text in some_policies(),
        asked in prop::collection::vec((some_who(), resource()), 24),
    ) {
        let loaded = load_with(&world.schema(), &text, &format!("Pets::{}", world.groups));
        prop_assume!(loaded.is_ok());
        let policies = loaded.unwrap();
        let mut guards: HashMap<String, Guard> = HashMap::new();
        for (who, (ty, id)) in asked {
            let who = one_token(who);
            let resource = format!("Pets::{ty}::\"{id}\"");
            let ask = Ask { action: "get /x", resource: Some(&resource), parameters: &[], headers: &[] };
            let guard = guards.entry(resource.clone()).or_insert_with(|| policies.guard(&ask).unwrap());
            let request = Req::default();
            let outcome = outcome(guard, &request, &who);
            if let Some(never) = guard.never(&kind(&who, &request)) {
                prop_assert!(!outcome.is_permit(), "{} {:?} {}", never, world, text);
            }
            for unmet in guard.unmet(&[kind(&who, &request)]) {
                prop_assert!(!outcome.policies().any(|id| id == unmet.policy), "{} {:?} {}", unmet, world, text);
            }
        }
    }
}
