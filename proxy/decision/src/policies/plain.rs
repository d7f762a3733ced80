//! Policies without conditions: what their scopes ask for is all that they say, so they need no evaluator.
//!
//! Roles are written like that, and Cedar takes twenty times as long for them.

use std::collections::HashSet;

use cedar_policy::{
    ActionConstraint, Effect, Entities, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    PrincipalConstraint, ResourceConstraint,
};

/// What all requests have in common for which policies are sorted.
pub(super) struct Asks<'a> {
    pub(super) principal: &'a EntityTypeName,
    pub(super) action: &'a EntityUid,
    pub(super) resource: &'a EntityTypeName,
    /// All policies without conditions.
    pub(super) unconditional: &'a HashSet<PolicyId>,
    /// The action, if it is in other ones.
    pub(super) actions: &'a Entities,
}

/// The policies without conditions. Of a policy that cannot be taken apart, it is unknown.
pub(super) fn unconditional(policies: &PolicySet) -> HashSet<PolicyId> {
    let unconditional = policies.policies().filter(|policy| {
        let parts = policy.to_pst();
        policy.is_static() && parts.is_ok_and(|parts| parts.body().clauses().is_empty())
    });
    unconditional.map(|policy| policy.id().clone()).collect()
}

/// A policy that is satisfied exactly where these hold of a request's principal and resource.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) id: Box<str>,
    pub(crate) effect: Effect,
    principal: Option<Wanted>,
    resource: Option<Wanted>,
}

/// What a scope asks of an entity.
#[derive(Debug)]
enum Wanted {
    Is(EntityUid),
    IsIn(EntityUid),
}

impl Plain {
    /// `None` where there is more to it than the principal and the resource.
    pub(super) fn of(policy: &Policy, asks: &Asks<'_>) -> Option<Self> {
        let of_action = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => action == *asks.action,
            ActionConstraint::In(actions) => actions
                .iter()
                .any(|action| is_in(asks.actions, asks.action, action)),
        };
        if !of_action || !asks.unconditional.contains(policy.id()) {
            return None;
        }
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => None,
            PrincipalConstraint::Is(ty) if ty == *asks.principal => None,
            PrincipalConstraint::Eq(entity) => Some(Wanted::Is(entity)),
            PrincipalConstraint::In(entity) => Some(Wanted::IsIn(entity)),
            PrincipalConstraint::IsIn(ty, entity) if ty == *asks.principal => {
                Some(Wanted::IsIn(entity))
            }
            PrincipalConstraint::Is(_) | PrincipalConstraint::IsIn(..) => return None,
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => None,
            ResourceConstraint::Is(ty) if ty == *asks.resource => None,
            ResourceConstraint::Eq(entity) => Some(Wanted::Is(entity)),
            ResourceConstraint::In(entity) => Some(Wanted::IsIn(entity)),
            ResourceConstraint::IsIn(ty, entity) if ty == *asks.resource => {
                Some(Wanted::IsIn(entity))
            }
            ResourceConstraint::Is(_) | ResourceConstraint::IsIn(..) => return None,
        };
        Some(Self {
            id: AsRef::<str>::as_ref(policy.id()).into(),
            effect: policy.effect(),
            principal,
            resource,
        })
    }

    /// Whether its scope is met by a request of this principal and resource, among these entities.
    pub(crate) fn applies(
        &self,
        principal: &EntityUid,
        resource: &EntityUid,
        entities: &Entities,
    ) -> bool {
        let holds = |wanted: &Option<Wanted>, entity: &EntityUid| match wanted {
            None => true,
            Some(Wanted::Is(wanted)) => entity == wanted,
            Some(Wanted::IsIn(wanted)) => is_in(entities, entity, wanted),
        };
        holds(&self.principal, principal) && holds(&self.resource, resource)
    }
}

/// Cedar's `in`: an entity is in itself, whether it is known or not.
fn is_in(entities: &Entities, entity: &EntityUid, wanted: &EntityUid) -> bool {
    entity == wanted || entities.is_ancestor_of(wanted, entity)
}
