//! A policy set, loaded and indexed.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cedar_policy::{Effect, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet};
use moka::sync::Cache;

use crate::{
    Ask, Caller, Config, Guard, Outcome, Problem, Problems,
    identity::{Identity, Lens, Types},
    inputs::{Inputs, TOKEN},
    load::{self, Loaded},
    mention::Mentions,
    resource::{Named, Resource, entity_text},
    schema::{Schema, Type},
};

/// An immutable snapshot of a policy directory: validated, and indexed by action and resource type.
#[derive(Debug)]
pub struct Policies {
    shared: Arc<Shared>,
    schema: Schema,
    /// The namespace of the principal's type, with its `::`; empty without one.
    namespace: String,
    index: HashMap<(EntityUid, EntityTypeName), Arc<Applicable>>,
    guards: AtomicU64,
    hash: String,
    ids: Vec<String>,
    warnings: Vec<Problem>,
}

/// What all guards of a snapshot share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) generation: u64,
    pub(crate) is_empty: bool,
    types: Types,
    /// Outcomes, by everything that they depend on.
    pub(crate) decisions: Cache<Box<[u8]>, Arc<Outcome>>,
    /// Callers, by the digest of their tokens and the number of a lens.
    identities: Cache<([u8; 32], usize), Arc<Result<Identity, Outcome>>>,
}

/// The policies that can apply to one action and type of resource.
#[derive(Debug)]
pub(crate) struct Applicable {
    pub(crate) policies: PolicySet,
    pub(crate) mentions: Mentions,
    lens: Arc<Lens>,
    lens_number: usize,
}

impl Policies {
    /// Loads and validates a directory; nothing is loaded if there is any problem. `generation` names the snapshot in decisions.
    pub fn load(config: &Config, generation: u64) -> Result<Self, Problems> {
        let loaded = load::load(config)?;
        let namespace = config.principal.rsplit_once("::").map_or_else(String::new, |(namespace, _)| format!("{namespace}::"));
        let mut indexing = Indexing { schema: &loaded.schema, config, lenses: HashMap::new() };
        let index = indexing.index(&loaded);
        let types = Types {
            principal: loaded.principal,
            group: loaded.group,
            attributes: loaded.schema.entity(&config.principal).map(|ty| ty.attributes.clone()).unwrap_or_default(),
            actions: loaded.schema.nested_actions(),
        };
        let shared = Shared {
            generation,
            is_empty: loaded.policies.is_empty(),
            types,
            decisions: Cache::builder().max_capacity(DECISIONS_BYTES).weigher(decision_weight).build(),
            identities: Cache::builder().max_capacity(IDENTITIES_BYTES).weigher(identity_weight).build(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            schema: loaded.schema,
            namespace,
            index,
            guards: AtomicU64::new(0),
            hash: loaded.hash,
            ids: loaded.ids,
            warnings: loaded.warnings,
        })
    }

    /// Prepares the policies for one route and method; reports everything about the route that does not fit the schema.
    pub fn guard(&self, ask: &Ask<'_>) -> Result<Guard, Problems> {
        let fail = |messages: Vec<String>| Problems(messages.into_iter().map(Problem::of_route).collect());
        let action = self.entity(&format!("{}Action", self.namespace), ask.action).map_err(|message| fail(vec![message]))?;
        let resource = self.resource(ask).map_err(fail)?;
        let applicable = self.applicable(&action, resource.ty()).map_err(|message| fail(vec![message]))?;
        let context = self.schema.action(&action).map(|action| action.context.clone()).unwrap_or_default();
        let inputs = Inputs::plan(&context, &applicable.mentions.context, ask).map_err(|messages| {
            fail(messages.into_iter().map(|message| format!("action `{}`: {message}", ask.action)).collect())
        })?;
        Ok(Guard {
            number: self.guards.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(&self.shared),
            resource_parent: self.parent(resource.ty(), &applicable),
            applicable,
            action_text: entity_text(&action).into(),
            action,
            resource,
            inputs,
        })
    }

    /// The number that decisions of this snapshot name.
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// SHA-256 of all files that were loaded, hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// `@id`s of all policies, sorted.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// What Cedar finds odd about the policies, but not wrong.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Ids of the actions that callers of the set's principal type can be decided on, sorted.
    pub fn actions(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.index.keys().map(|(action, _)| action.id().unescaped()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn entity(&self, ty: &str, id: &str) -> Result<EntityUid, String> {
        let ty: EntityTypeName = ty.parse().map_err(|_| format!("`{ty}` is not the name of an entity type"))?;
        Ok(EntityUid::from_type_name_and_id(ty, EntityId::new(id)))
    }

    /// `PetStore::Application::"PetStore"`, as Verified Permissions' quick start has it.
    fn application(&self) -> Result<EntityUid, String> {
        let name = self.namespace.strip_suffix("::").unwrap_or_default();
        self.entity(&format!("{}Application", self.namespace), name)
    }

    fn resource(&self, ask: &Ask<'_>) -> Result<Resource, Vec<String>> {
        let resource = match ask.resource {
            Some(text) => Resource::parse(text, ask.parameters)?,
            None => Resource::Fixed(Named::new(self.application().map_err(|message| vec![message])?)),
        };
        let ty = resource.ty().to_string();
        let Some(declared) = self.schema.entity(&ty) else {
            return Err(vec![format!("the resource's type `{ty}` is not in the schema")]);
        };
        let required = declared.attributes.iter().filter(|(_, attribute)| attribute.required);
        let problems: Vec<_> = required
            .map(|(name, _)| format!("attribute `{name}` of the resource's type `{ty}` is required, and nothing gives it a value"))
            .collect();
        if problems.is_empty() { Ok(resource) } else { Err(problems) }
    }

    fn applicable(&self, action: &EntityUid, resource: &EntityTypeName) -> Result<Arc<Applicable>, String> {
        if let Some(applicable) = self.index.get(&(action.clone(), resource.clone())) {
            return Ok(Arc::clone(applicable));
        }
        Err(match self.schema.action(action) {
            None => format!("action `{}` is not in the schema, or applies to nothing", action.id().unescaped()),
            Some(found) if found.resources.contains(&resource.to_string()) => {
                let principal = &self.shared.types.principal;
                format!("action `{}` does not apply to principals of type `{principal}`", action.id().unescaped())
            }
            Some(_) => format!("action `{}` does not apply to resources of type `{resource}`", action.id().unescaped()),
        })
    }

    /// Where the schema lets resources be in the application, they are.
    fn parent(&self, resource: &EntityTypeName, applicable: &Applicable) -> Option<EntityUid> {
        let application = self.application().ok()?;
        let within = self.schema.entity(&resource.to_string())?.parents.contains(&application.type_name().to_string());
        (within && applicable.mentions.resource_parents).then_some(application)
    }
}

impl Shared {
    /// The caller as policies see it; remembered for its tokens.
    pub(crate) fn identity(&self, caller: &impl Caller, applicable: &Applicable) -> Arc<Result<Identity, Outcome>> {
        let fresh = || Arc::new(Identity::new(caller, &self.types, &applicable.lens));
        let Some(digest) = caller.digest() else {
            return fresh();
        };
        let key = (digest, applicable.lens_number);
        self.identities.get(&key).unwrap_or_else(|| {
            let identity = fresh();
            self.identities.insert(key, Arc::clone(&identity));
            identity
        })
    }

    /// How a principal of this id is written.
    pub(crate) fn principal_text(&self, id: &str) -> Arc<str> {
        entity_text(&EntityUid::from_type_name_and_id(self.types.principal.clone(), EntityId::new(id))).into()
    }
}

impl Applicable {
    /// Unsure means yes.
    pub(crate) fn is_forbid(&self, id: &str) -> bool {
        self.policies.policy(&PolicyId::new(id)).is_none_or(|policy| policy.effect() == Effect::Forbid)
    }
}

/// The index on its way.
struct Indexing<'a> {
    schema: &'a Schema,
    config: &'a Config,
    lenses: HashMap<Arc<Lens>, usize>,
}

impl Indexing<'_> {
    fn index(&mut self, loaded: &Loaded) -> HashMap<(EntityUid, EntityTypeName), Arc<Applicable>> {
        let mut sets: HashMap<(EntityUid, EntityTypeName), PolicySet> = HashMap::new();
        for (action, shape) in self.schema.actions().filter(|(_, shape)| shape.principals.contains(&self.config.principal)) {
            let resources = shape.resources.iter().filter_map(|resource| resource.parse().ok());
            sets.extend(resources.map(|resource| ((action.clone(), resource), PolicySet::new())));
        }
        for policy in loaded.policies.policies() {
            let environments = policy.get_valid_request_envs(&self.schema.cedar);
            for env in environments.filter(|env| *env.principal() == loaded.principal) {
                let set = sets.entry((env.action().clone(), env.resource().clone())).or_default();
                // Cannot fail: ids are unique in the whole set, so in each part of it.
                let _: Result<(), _> = set.add(policy.clone());
            }
        }
        sets.into_iter().map(|(key, set)| { let applicable = Arc::new(self.applicable(&key.0, set)); (key, applicable) }).collect()
    }

    fn applicable(&mut self, action: &EntityUid, policies: PolicySet) -> Applicable {
        let mentions = Mentions::of(policies.policies(), &self.config.principal);
        let token = self.schema.action(action).and_then(|action| action.context.get(TOKEN)).and_then(|token| match &token.ty {
            Type::Record(record) => Some((record.clone(), token.required)),
            _ => None,
        });
        let lens = Arc::new(Lens {
            token_mentioned: token.is_some() && mentions.context.touch(&[TOKEN]),
            claims: mentions.context.within(TOKEN),
            mentions: mentions.caller.clone(),
            token,
            action: self.schema.is_nested(action).then(|| action.clone()),
        });
        let next = self.lenses.len();
        let lens_number = *self.lenses.entry(Arc::clone(&lens)).or_insert(next);
        Applicable { policies, mentions, lens, lens_number }
    }
}

fn decision_weight(key: &Box<[u8]>, outcome: &Arc<Outcome>) -> u32 {
    const FIXED: usize = 256;
    let ids: usize = outcome.policies().map(|id| id.len() + 16).sum();
    u32::try_from(FIXED + key.len() + ids + 256 * outcome.errors().len()).unwrap_or(u32::MAX)
}

fn identity_weight(_: &([u8; 32], usize), identity: &Arc<Result<Identity, Outcome>>) -> u32 {
    identity.as_ref().as_ref().map_or(512, Identity::weight)
}

/// Memory for remembered decisions.
const DECISIONS_BYTES: u64 = 32 << 20;
/// Memory for remembered callers.
const IDENTITIES_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests;
