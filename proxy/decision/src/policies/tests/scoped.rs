//! Only policies whose scope a request can meet are evaluated, and what is decided is what all of them decide.

use std::{collections::HashMap, fmt::Write as _};

use cedar_policy::{AuthorizationError, Decision, Effect, Entities, PolicySet, Response};
use proptest::prelude::*;

use super::{
    GET, load_with, noon, policies,
    unrelated::{QUESTIONS, outcome, parsed, resource, some_world},
    world::{Req, Who},
};
use crate::{Ask, Guard, Outcome};

const PRINCIPALS: [&str; 8] = [
    "principal",
    "principal is Pets::User",
    "principal == Pets::User::\"pool|a\"",
    "principal in Pets::User::\"pool|a\"",
    "principal in Pets::Group::\"pool|a\"",
    "principal is Pets::User in Pets::Group::\"pool|b\"",
    "principal in Pets::Application::\"Pets\"",
    "principal in Pets::Application::\"pool|a\"",
];

const RESOURCES: [&str; 9] = [
    "resource",
    "resource is Pets::Pet",
    "resource == Pets::Pet::\"pool|a\"",
    "resource == Pets::User::\"pool|a\"",
    "resource in Pets::Group::\"pool|a\"",
    "resource in Pets::Application::\"Pets\"",
    "resource is Pets::User in Pets::Group::\"pool|b\"",
    "resource is Pets::Pet in Pets::Application::\"Pets\"",
    "resource in Pets::User::\"pool|b\"",
];

const ACTIONS: [&str; 6] = [
    "action",
    "action == Pets::Action::\"get /x\"",
    "action in Pets::Action::\"get /x\"",
    "action in Pets::Action::\"read\"",
    "action in [Pets::Action::\"other\", Pets::Action::\"gets\"]",
    "action == Pets::Action::\"other\"",
];

/// Fails for the caller whose level is the greatest there is.
const OVERFLOW: &str = "principal has level && principal.level + 1 > 1";

pub(super) fn some_policies() -> impl Strategy<Value = String> {
    let condition = prop_oneof![
        4 => prop::sample::select(&QUESTIONS[..]),
        1 => Just(OVERFLOW),
    ];
    let clause = (any::<bool>(), condition);
    let scope = (
        prop::sample::select(&PRINCIPALS[..]),
        prop::sample::select(&ACTIONS[..]),
        prop::sample::select(&RESOURCES[..]),
    );
    let clauses = prop::collection::vec(clause, 0..2);
    let policy = (prop::bool::weighted(0.7), scope, clauses);
    prop::collection::vec(policy, 1..12).prop_map(|policies| {
        let mut text = String::new();
        for (at, (permit, (principal, action, resource), clauses)) in
            policies.into_iter().enumerate()
        {
            let effect = if permit { "permit" } else { "forbid" };
            write!(
                text,
                "@id(\"p{at}\") {effect}({principal}, {action}, {resource})"
            )
            .unwrap();
            for (when, condition) in clauses {
                let word = if when { "when" } else { "unless" };
                write!(text, " {word} {{ {condition} }}").unwrap();
            }
            text.push_str(";\n");
        }
        text
    })
}

/// Whether the request goes on, the policies that say so, and those that failed.
type Said = (bool, Vec<String>, Vec<String>);

fn said(outcome: &Outcome) -> Said {
    let errors = outcome.errors().iter();
    (
        outcome.is_permit(),
        outcome.policies().map(str::to_owned).collect(),
        errors.map(|error| error.policy.to_string()).collect(),
    )
}

/// What Cedar's response means for a gate whose `forbid`s must not fail, where a policy that is always false for the type of
/// resource is none, so its failure is none.
fn expected(response: &Response, all: &PolicySet, applicable: &[&str]) -> Said {
    let diagnostics = response.diagnostics();
    let mut reason: Vec<_> = diagnostics.reason().map(ToString::to_string).collect();
    reason.sort();
    let failed = diagnostics.errors().map(|error| match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id().clone(),
    });
    let mut failed: Vec<_> = failed
        .filter(|id| applicable.contains(&id.to_string().as_str()))
        .collect();
    failed.sort();
    let is_forbid = |id| all.policy(id).unwrap().effect() == Effect::Forbid;
    let permitted = response.decision() == Decision::Allow && !failed.iter().any(is_forbid);
    let failed = failed.iter().map(ToString::to_string).collect();
    (permitted, reason, failed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    /// Reasons and failures included; joined sets are met a second time.
    #[test]
    fn decisions_equal_those_of_all_policies(
        world in some_world(),
        text in some_policies(),
        asked in prop::collection::vec((super::remembered::some_who(), resource()), 24),
    ) {
        let loaded = load_with(&world.schema(), &text, &format!("Pets::{}", world.groups));
        prop_assume!(loaded.is_ok());
        let (policies, all) = (loaded.unwrap(), parsed(&text));
        let mut guards: HashMap<String, Guard> = HashMap::new();
        for (who, (ty, id)) in asked {
            let resource = format!("Pets::{ty}::\"{id}\"");
            let ask = Ask { action: "get /x", resource: Some(&resource), parameters: &[], headers: &[] };
            let guard = guards.entry(resource.clone()).or_insert_with(|| policies.guard(&ask).unwrap());
            let Some(response) = world.respond(&all, &who, (ty, id)) else {
                continue;
            };
            let expected = expected(&response, &all, &guard.policies());
            prop_assert_eq!(said(&outcome(guard, &Req::default(), &who)), expected, "{:?} {}", world, text);
        }
    }
}

/// How many policies are evaluated for a request of this caller.
fn evaluated(guard: &Guard, who: &Who, pet: &str) -> usize {
    let met = guard.shared.meet(who, &guard.applicable);
    let facts = guard.shared.facts(&met, &guard.applicable).unwrap();
    let request = Req {
        pet: pet.to_owned(),
        ..Req::default()
    };
    let resource = guard.resource.of(&request).unwrap();
    let parent = guard.applicable.resource_parent.as_ref();
    let entities = facts.entities_with(&resource.uid, parent).unwrap();
    let scoped = &guard.applicable.scoped;
    let selected = scoped.select(&facts.uid, &resource.uid, &entities).unwrap();
    selected.plain().count() + selected.conditional.num_of_policies()
}

/// How many policies of a guard are to be evaluated, where all that ask for no entity can apply.
fn conditional(guard: &Guard) -> usize {
    let nobody = r#"Pets::User::"nobody""#.parse().unwrap();
    let nothing = r#"Pets::Pet::"nothing""#.parse().unwrap();
    let scoped = &guard.applicable.scoped;
    let selected = scoped.select(&nobody, &nothing, &Entities::empty());
    selected.unwrap().conditional.num_of_policies()
}

#[test]
fn only_policies_with_conditions_are_evaluated() {
    let guard = policies(
        r#"@id("a") permit(principal is Pets::User, action in Pets::Action::"read", resource);
        @id("b") forbid(principal, action == Pets::Action::"get /pets/{petId}", resource);
        @id("c") permit(principal, action, resource) when { context.method == "GET" };
        @id("d") permit(principal, action, resource) unless { false };"#,
    )
    .guard(&GET)
    .unwrap();
    assert_eq!(conditional(&guard), 2);
}

/// Ten policies that can apply to user `u7`, of group `g7`, and pet `7`, among so many that differ in what they ask for.
fn ten_among(count: usize, scope: impl Fn(usize) -> String) -> Guard {
    let text = (0..count).fold(String::new(), |mut text, at| {
        let asked = scope(if at < 10 { 7 } else { 1000 + at });
        writeln!(text, "@id(\"p{at}\") permit({asked});").unwrap();
        text
    });
    policies(&text).guard(&GET).unwrap()
}

#[test]
fn of_a_thousand_policies_the_ten_that_can_apply_are_evaluated() {
    let who = Who::new("u7", &["g1", "g7"]);
    let scopes: [fn(usize) -> String; 6] = [
        |n| format!("principal in Pets::Group::\"pool|g{n}\", action, resource"),
        |n| format!("principal == Pets::User::\"pool|u{n}\", action, resource"),
        |n| format!("principal is Pets::User in Pets::Group::\"pool|g{n}\", action, resource"),
        |n| format!("principal, action, resource == Pets::Pet::\"{n}\""),
        |n| format!("principal, action in Pets::Action::\"read\", resource in Pets::Pet::\"{n}\""),
        // All ask for one group, so it is the pet that tells them apart.
        |n| {
            format!("principal in Pets::Group::\"pool|g7\", action, resource == Pets::Pet::\"{n}\"")
        },
    ];
    for scope in scopes {
        for count in [10, 200] {
            let guard = ten_among(count, scope);
            assert_eq!(evaluated(&guard, &who, "7"), 10, "{}", scope(7));
            assert_eq!(
                evaluated(&guard, &Who::new("u8", &[]), "8"),
                0,
                "{}",
                scope(7)
            );
            let request = Req {
                pet: "7".into(),
                ..Req::default()
            };
            let permit = guard.decide_afresh(request, &who, noon());
            assert!(permit.is_ok(), "{}", scope(7));
        }
    }
}

#[test]
fn of_a_thousand_policies_of_all_kinds_ten_are_evaluated() {
    let guard = ten_among(1000, |n| match n % 3 {
        0 => format!("principal in Pets::Group::\"pool|g{n}\", action, resource"),
        1 => format!("principal == Pets::User::\"pool|u{n}\", action, resource"),
        _ => format!("principal, action, resource == Pets::Pet::\"{n}\""),
    });
    assert_eq!(guard.policies().len(), 1000);
    assert_eq!(evaluated(&guard, &Who::new("u7", &["g7"]), "7"), 10);
}

#[test]
fn policies_of_another_action_are_not_evaluated() {
    let other = "permit(principal, action == Pets::Action::\"put /pets/{petId}\", resource);";
    let mut text =
        "@id(\"get\") permit(principal, action == Pets::Action::\"get /pets/{petId}\", resource);"
            .to_owned();
    for at in 0..100 {
        writeln!(text, "@id(\"put{at}\") {other}").unwrap();
    }
    let guard = policies(&text).guard(&GET).unwrap();
    assert_eq!(evaluated(&guard, &Who::new("u", &[]), "1"), 1);
}
