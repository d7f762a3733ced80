//! Policies by what their scopes ask for: of a thousand policies, only those are evaluated that can apply.

use std::{collections::HashMap, fmt, hash::RandomState, sync::Arc};

use cedar_policy::{
    Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::plain::{Asks, Plain};

/// The policies of one action and type of resource, sorted by the entity that their scopes ask for.
///
/// INVARIANT: a policy stands under an entity only where its scope asks that the principal (or the resource) be that entity
/// or be in it. A scope is evaluated before all conditions and cannot fail, so a policy that is left out for it is neither
/// satisfied nor in error: what is decided without it is what is decided with it.
pub(crate) struct Scoped {
    /// Policies that ask for no entity.
    any: Part,
    principal: HashMap<EntityUid, Part>,
    resource: HashMap<EntityUid, Part>,
    /// Several parts as one set, by their numbers: evaluating one set costs less than evaluating each part.
    joined: Cache<Box<[u32]>, Arc<PolicySet>, Count, RandomState>,
}

/// Counts a joined set's policies.
#[derive(Clone)]
struct Count;

impl Weighter<Box<[u32]>, Arc<PolicySet>> for Count {
    fn weight(&self, _: &Box<[u32]>, set: &Arc<PolicySet>) -> u64 {
        set.num_of_policies() as u64 + 1
    }
}

/// Policies that can apply together or not at all.
struct Part {
    number: u32,
    plain: Box<[Plain]>,
    /// Those that are to be evaluated.
    conditional: Arc<PolicySet>,
}

/// The policies whose scope a request can meet.
pub(crate) struct Selected<'s> {
    parts: Vec<&'s Part>,
    /// Those that are to be evaluated.
    pub(crate) conditional: Arc<PolicySet>,
}

impl Selected<'_> {
    /// Those of which the scope is all.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &Plain> {
        self.parts.iter().flat_map(|part| &part.plain)
    }
}

/// What a policy's scope asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asked {
    Nothing,
    Principal(EntityUid),
    Resource(EntityUid),
}

impl Scoped {
    /// Sorts policies, each under the one of its two entities that fewer of them ask for.
    pub(super) fn new(policies: &PolicySet, asks: &Asks<'_>) -> Result<Self, String> {
        let asked: Vec<_> = policies
            .policies()
            .map(|policy| (policy, asked_by(policy)))
            .collect();
        let mut counts: HashMap<&Asked, usize> = HashMap::new();
        for one in asked.iter().flat_map(|(_, asked)| asked) {
            *counts.entry(one).or_default() += 1;
        }
        let mut sorted: HashMap<Asked, Vec<Policy>> = HashMap::new();
        for (policy, asked) in &asked {
            let rarest = asked.iter().min_by_key(|one| counts.get(one));
            let rarest = rarest.cloned().unwrap_or(Asked::Nothing);
            sorted.entry(rarest).or_default().push((*policy).clone());
        }
        Self::of(sorted, asks)
    }

    fn of(sorted: HashMap<Asked, Vec<Policy>>, asks: &Asks<'_>) -> Result<Self, String> {
        let mut scoped = Self {
            any: Part::new(0, Vec::new(), asks)?,
            principal: HashMap::new(),
            resource: HashMap::new(),
            joined: Cache::with(
                USUAL_SETS,
                JOINED_POLICIES,
                Count,
                RandomState::new(),
                DefaultLifecycle::default(),
            ),
        };
        for (number, (asked, policies)) in (1..).zip(sorted) {
            let part = Part::new(number, policies, asks)?;
            match asked {
                Asked::Nothing => scoped.any = part,
                Asked::Principal(entity) => {
                    scoped.principal.insert(entity, part);
                }
                Asked::Resource(entity) => {
                    scoped.resource.insert(entity, part);
                }
            }
        }
        Ok(scoped)
    }

    /// The policies whose scope a request of this principal and resource can meet, where these are the entities that it is
    /// evaluated against.
    pub(crate) fn select(
        &self,
        principal: &EntityUid,
        resource: &EntityUid,
        entities: &Entities,
    ) -> Result<Selected<'_>, String> {
        let mut parts = Vec::new();
        parts.push(&self.any);
        add(&mut parts, &self.principal, principal, entities);
        add(&mut parts, &self.resource, resource, entities);
        let conditional = parts.iter().filter(|part| !part.conditional.is_empty());
        let conditional = match *conditional.copied().collect::<Vec<_>>() {
            [] => Arc::clone(&self.any.conditional),
            [part] => Arc::clone(&part.conditional),
            ref parts => self.join(parts)?,
        };
        Ok(Selected { parts, conditional })
    }

    fn join(&self, parts: &[&Part]) -> Result<Arc<PolicySet>, String> {
        let mut numbers: Box<[u32]> = parts.iter().map(|part| part.number).collect();
        numbers.sort_unstable();
        if let Some(set) = self.joined.get(&*numbers) {
            return Ok(set);
        }
        let policies = parts.iter().flat_map(|part| part.conditional.policies());
        let set = Arc::new(set_of(policies.cloned())?);
        self.joined.insert(numbers, Arc::clone(&set));
        Ok(set)
    }
}

impl Part {
    fn new(number: u32, policies: Vec<Policy>, asks: &Asks<'_>) -> Result<Self, String> {
        let mut plain = Vec::new();
        let mut conditional = Vec::new();
        for policy in policies {
            match Plain::of(&policy, asks) {
                Some(policy) => plain.push(policy),
                None => conditional.push(policy),
            }
        }
        Ok(Self {
            number,
            plain: plain.into(),
            conditional: Arc::new(set_of(conditional)?),
        })
    }
}

impl fmt::Debug for Scoped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Scoped")
            .field("principals", &self.principal.len())
            .field("resources", &self.resource.len())
            .finish_non_exhaustive()
    }
}

/// Adds the parts under an entity and under everything that it is in.
fn add<'s>(
    parts: &mut Vec<&'s Part>,
    by_entity: &'s HashMap<EntityUid, Part>,
    entity: &EntityUid,
    entities: &Entities,
) {
    if by_entity.is_empty() {
        return;
    }
    parts.extend(by_entity.get(entity));
    let above = entities.ancestors(entity).into_iter().flatten();
    // Were an entity in itself, its policies would stand twice in one set.
    let above = above.filter(|above| *above != entity);
    parts.extend(above.filter_map(|above| by_entity.get(above)));
}

fn set_of(policies: impl IntoIterator<Item = Policy>) -> Result<PolicySet, String> {
    PolicySet::from_policies(policies).map_err(|error| error.to_string())
}

fn asked_by(policy: &Policy) -> Vec<Asked> {
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::Eq(entity)
        | PrincipalConstraint::In(entity)
        | PrincipalConstraint::IsIn(_, entity) => Some(Asked::Principal(entity)),
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::Eq(entity)
        | ResourceConstraint::In(entity)
        | ResourceConstraint::IsIn(_, entity) => Some(Asked::Resource(entity)),
    };
    principal.into_iter().chain(resource).collect()
}

/// How many policies joined sets of one action and type of resource hold together; a policy's text is shared.
const JOINED_POLICIES: u64 = 16 * 1024;
/// About how many joined sets that is: so few that none is too large for its part of the memory.
const USUAL_SETS: usize = 32;
