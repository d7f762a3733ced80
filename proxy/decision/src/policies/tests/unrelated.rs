//! What a policy comes to depends on nothing that other policies mention.

use std::collections::HashMap;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicyId, PolicySet, Request,
    Response, RestrictedExpression,
};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    SCHEMA, load_with, noon,
    remembered::{CONDITIONS, ROUTES, policies_of, some_request, some_who},
    world::{Req, Who},
};
use crate::{Ask, Code, Guard, Outcome, Policies};

/// Mentions everything, and is never satisfied.
const ALL: &str = r#"@id("all") permit(principal, action, resource) when {
    [principal].isEmpty() || [context].isEmpty() || [resource].isEmpty() || resource in Pets::Application::"none" };"#;

pub(super) fn outcome(guard: &Guard, request: &Req, who: &Who) -> Outcome {
    match guard.decide(request.clone(), who, noon()) {
        Ok(permit) => match permit.into_parts().1 {
            crate::Basis::Policies(decided) => decided.outcome().clone(),
            basis => panic!("{basis:?}"),
        },
        Err(denied) => denied.decided.outcome().clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// But what can be read in two ways is refused where a policy reads it.
    #[test]
    fn a_policy_that_is_not_satisfied_changes_nothing(
        text in policies_of(&CONDITIONS), asked in prop::collection::vec((some_who(), some_request()), 8),
    ) {
        let group = "Pets::Group";
        let loaded = load_with(SCHEMA, &text, group);
        prop_assume!(loaded.is_ok());
        let guards = |policies: &Policies| ROUTES.map(|route| policies.guard(&route).unwrap());
        let alone = guards(&loaded.unwrap());
        let among = guards(&load_with(SCHEMA, &format!("{text}\n{ALL}"), group).unwrap());
        for (who, request) in asked {
            for (alone, among) in alone.iter().zip(&among) {
                let among = outcome(among, &request, &who);
                if among.code() != Code::InputAmbiguous {
                    prop_assert_eq!(outcome(alone, &request, &who), among, "{}", text);
                }
            }
        }
    }
}

/// A schema's parents of each type, and the type that callers' groups have.
#[derive(Debug, Clone)]
pub(super) struct World {
    user: Vec<&'static str>,
    group: Vec<&'static str>,
    application: Vec<&'static str>,
    pub(super) groups: &'static str,
}

/// Types of resources.
const TYPES: [&str; 4] = ["User", "Group", "Application", "Pet"];

/// What policies ask of entities.
pub(super) const QUESTIONS: [&str; 17] = [
    "principal in Pets::Application::\"Pets\"",
    "principal in Pets::Application::\"pool|a\"",
    "principal in Pets::Group::\"pool|a\"",
    "principal in Pets::User::\"pool|b\"",
    "principal == Pets::User::\"pool|a\"",
    "principal in [Pets::Group::\"pool|b\", Pets::Group::\"pool|a\"]",
    "principal has email && principal.email == \"a\"",
    "resource in Pets::Application::\"Pets\"",
    "resource in Pets::Group::\"pool|a\"",
    "resource is Pets::Group in Pets::Application::\"Pets\"",
    "resource == Pets::Group::\"pool|a\"",
    "resource is Pets::User && resource has email && resource.email == \"a\"",
    "resource is Pets::User && resource has level",
    "principal in resource",
    "resource in principal",
    "Pets::User::\"pool|a\" in Pets::Application::\"Pets\"",
    "Pets::User::\"pool|a\" has email",
];

pub(super) fn some_world() -> impl Strategy<Value = World> {
    let maybe = |parent| prop::option::of(Just(parent)).prop_map(Vec::from_iter);
    let groups = prop::sample::select(vec!["Group", "Group", "Application", "User"]);
    let parents = [(); 3].map(|()| maybe("Application"));
    (parents, groups).prop_map(|([mut user, group, application], groups)| {
        user.extend(["Group", "User", groups]);
        user.sort_unstable();
        user.dedup();
        World {
            user,
            group,
            application,
            groups,
        }
    })
}

impl World {
    pub(super) fn schema(&self) -> String {
        let within = |parents: &[&str]| match parents {
            [] => String::new(),
            parents => format!(" in [{}]", parents.join(", ")),
        };
        format!(
            "namespace Pets {{ entity Application{}; entity Group{}; entity Pet in [Application];
            entity User{} = {{ email?: String, level?: Long }};
            action read; action gets in [read];
            action \"get /x\", other in [gets] appliesTo {{ principal: User, resource: [{}] }}; }}",
            within(&self.application),
            within(&self.group),
            within(&self.user),
            TYPES.join(", ")
        )
    }

    fn is_in_application(&self, ty: &str) -> bool {
        match ty {
            "User" => self.user.contains(&"Application"),
            "Group" => self.group.contains(&"Application"),
            "Application" => self.application.contains(&"Application"),
            _ => true,
        }
    }

    /// All that the caller has and is in, and what the resource is in.
    fn entities(&self, who: &Who, ty: &str, resource: &EntityUid) -> Option<Entities> {
        let principal = uid("User", &who.id);
        let prefix = who.prefix.as_ref().map(|prefix| format!("{prefix}|"));
        let groups = who
            .groups
            .iter()
            .map(|group| format!("{}{group}", prefix.as_deref().unwrap_or_default()));
        let mut parents = HashMap::from([(
            principal.clone(),
            groups.map(|group| uid(self.groups, &group)).collect(),
        )]);
        let above: &mut Vec<_> = parents.entry(resource.clone()).or_default();
        let application = uid("Application", "Pets");
        if self.is_in_application(ty) && *resource != application {
            above.push(application);
        }
        let above = ["gets", "read"].map(|action| uid("Action", action));
        parents.insert(uid("Action", "get /x"), above.into());
        let entities = parents.into_iter().map(|(entity, parents)| {
            let attributes = (entity == principal).then(|| attributes(who));
            let parents = parents.into_iter().collect();
            Entity::new(entity, attributes.unwrap_or_default(), parents).unwrap()
        });
        Entities::from_entities(entities, None).ok()
    }

    /// What Cedar says of all policies and all entities; nothing where there are no such entities.
    pub(super) fn respond(
        &self,
        policies: &PolicySet,
        who: &Who,
        (ty, id): (&str, &str),
    ) -> Option<Response> {
        let (principal, resource) = (uid("User", &who.id), uid(ty, id));
        let entities = self.entities(who, ty, &resource)?;
        let action = uid("Action", "get /x");
        let request = Request::new(principal, action, resource, Context::empty(), None).unwrap();
        Some(Authorizer::new().is_authorized(&request, policies, &entities))
    }

    /// Ids of the policies that decide, and what they decide.
    fn decide(
        &self,
        policies: &PolicySet,
        who: &Who,
        resource: (&str, &str),
    ) -> Option<(bool, Vec<String>)> {
        let response = self.respond(policies, who, resource)?;
        let reason = response.diagnostics().reason().map(ToString::to_string);
        let mut ids: Vec<_> = reason.collect();
        ids.sort();
        Some((response.decision() == Decision::Allow, ids))
    }
}

fn uid(ty: &str, id: &str) -> EntityUid {
    format!("Pets::{ty}::{id:?}").parse().unwrap()
}

pub(super) fn parsed(text: &str) -> PolicySet {
    let policies = text.parse::<PolicySet>().unwrap();
    let named = policies
        .policies()
        .map(|policy| policy.new_id(PolicyId::new(policy.annotation("id").unwrap())));
    PolicySet::from_policies(named).unwrap()
}

fn attributes(who: &Who) -> HashMap<String, RestrictedExpression> {
    let claims = who.id_claims.iter().flatten();
    let values = claims.filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => RestrictedExpression::new_string(text.clone()),
            number => RestrictedExpression::new_long(number.as_i64()?),
        };
        Some((name.clone(), value))
    });
    values.collect()
}

pub(super) fn resource() -> impl Strategy<Value = (&'static str, &'static str)> {
    let id = prop::sample::select(vec!["pool|a", "pool|b", "Pets"]);
    (prop::sample::select(&TYPES[..]), id)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    /// Cedar is given everything there is. The guards remember what earlier callers left behind.
    #[test]
    fn decisions_equal_those_on_all_entities(
        world in some_world(),
        text in policies_of(&QUESTIONS),
        asked in prop::collection::vec((some_who(), resource()), 32),
    ) {
        let loaded = load_with(&world.schema(), &text, &format!("Pets::{}", world.groups));
        prop_assume!(loaded.is_ok());
        let (policies, cedar) = (loaded.unwrap(), parsed(&text));
        let mut guards = HashMap::new();
        for (who, (ty, id)) in asked {
            let resource = format!("Pets::{ty}::\"{id}\"");
            let ask = Ask { action: "get /x", resource: Some(&resource), parameters: &[], headers: &[] };
            let guard = guards.entry(resource.clone()).or_insert_with(|| policies.guard(&ask).unwrap());
            let outcome = outcome(guard, &Req::default(), &who);
            let said = (outcome.is_permit(), outcome.policies().map(str::to_owned).collect());
            // A caller who is its own group has no entity.
            let expected = world.decide(&cedar, &who, (ty, id)).unwrap_or_default();
            prop_assert_eq!(said, expected, "{:?} {}", world, text);
        }
    }
}
