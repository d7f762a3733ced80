//! Remembered decisions equal fresh ones.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{
    GET, SCHEMA, load, noon,
    world::{Req, Who},
};
use crate::{Basis, Denied, Outcome, Permit};

/// Conditions of which each mentions something else.
const CONDITIONS: [&str; 16] = [
    "principal == Pets::User::\"pool|a\"",
    "principal in Pets::Group::\"pool|a\"",
    "principal is Pets::User in Pets::Group::\"pool|b\"",
    "principal has email && principal.email like \"a*\"",
    "principal has level && principal.level + 1 > 1",
    "context has token",
    "context has token && context.token has scope && context.token.scope.contains(\"a\")",
    "context has token.client_id && context.token.client_id == \"a\"",
    "resource == Pets::Pet::\"a\"",
    "resource in Pets::Application::\"Pets\"",
    "context.pathParameters has petId && context.pathParameters.petId == \"b\"",
    "context.queryStringParameters has limit",
    "context.queryStringParameters has kind && context.queryStringParameters.kind == \"a\"",
    "context.headers has \"x-tenant\" && context.headers[\"x-tenant\"] == \"a\"",
    "context.clientIp.isInRange(ip(\"10.0.0.0/31\"))",
    "context.time < datetime(\"2026-01-01T12:00:00Z\")",
];

fn some_policies() -> impl Strategy<Value = String> {
    let clause = (any::<bool>(), prop::sample::select(&CONDITIONS[..]));
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
    prop::option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]))
}

fn some_who() -> impl Strategy<Value = Who> {
    let groups = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let level = prop::option::of(prop::sample::select(vec![0, 5, i64::MAX]));
    let claims = (
        some_text(),
        level,
        prop::option::of((some_text(), some_text())),
        0..2_i64,
    );
    (prop::sample::select(vec!["a", "b"]), groups, claims).prop_map(
        |(id, groups, (email, level, token, exp))| {
            let some = |pairs: Vec<(&str, Option<Value>)>| -> Value {
                pairs
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect::<BTreeMap<_, _>>()
                    .into_iter()
                    .collect::<Map<_, _>>()
                    .into()
            };
            let who = Who::new(id, &groups).id_token(&some(vec![
                ("email", email.map(Value::from)),
                ("level", level.map(Value::from)),
            ]));
            match token {
                Some((scope, client)) => who.access(&some(vec![
                    ("scope", scope.map(Value::from)),
                    ("client_id", client.map(Value::from)),
                    ("exp", Some(exp.into())),
                ])),
                None => who,
            }
        },
    )
}

fn some_request() -> impl Strategy<Value = Req> {
    let query = prop::sample::select(vec![
        "",
        "limit=1",
        "kind=a",
        "kind=b&limit=2",
        "kind=a&kind=a",
    ]);
    (
        prop::sample::select(vec!["a", "b"]),
        query,
        some_text(),
        0..4_u8,
    )
        .prop_map(|(pet, query, tenant, ip)| Req {
            pet: pet.to_owned(),
            query: query.to_owned(),
            tenant,
            ip: [10, 0, 0, ip].into(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    /// Few values for each input, so that many requests of a case meet what others left behind.
    #[test]
    fn remembered_decisions_equal_fresh_ones(
        text in some_policies(),
        asked in prop::collection::vec((some_who(), some_request(), 0..2_u64), 24),
    ) {
        // Conditions that contradict each other make a policy that is refused.
        let loaded = load(SCHEMA, &text);
        prop_assume!(loaded.is_ok());
        let guard = loaded.unwrap().guard(&GET).unwrap();
        for (who, request, hour) in asked {
            let now = noon() - Duration::from_secs(3600 * hour);
            let fresh = said(guard.decide_afresh(request.clone(), &who, now));
            // Equal callers have equal digests, as tokens do.
            let who = Who { digest: Some(sha256(&format!("{who:?}"))), ..who };
            prop_assert_eq!(said(guard.decide(request, &who, now)), fresh, "{}", text);
        }
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().unwrap()
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
