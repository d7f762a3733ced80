//! Which policies can apply to which action and type of resource, and what they mention.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{Effect, Entities, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet};

use super::{
    application,
    plain::{self, Asks},
    scope::Scoped,
};
use crate::{
    Config, Problem, Problems,
    identity::Lens,
    inputs::TOKEN,
    load::Loaded,
    mention::Mentions,
    schema::{Schema, Type},
};

/// The policies of each action and type of resource.
pub(super) type Index = HashMap<(EntityUid, EntityTypeName), Arc<Applicable>>;

/// The policies that can apply to one action and type of resource.
#[derive(Debug)]
pub(crate) struct Applicable {
    /// All of them.
    pub(crate) policies: PolicySet,
    pub(crate) scoped: Scoped,
    pub(crate) mentions: Mentions,
    /// What every resource is in, where a policy can come to something else by it.
    pub(crate) resource_parent: Option<EntityUid>,
    pub(crate) lens: Arc<Lens>,
    /// The lens's number within the snapshot.
    pub(super) lens_number: u32,
}

impl Applicable {
    /// Whether a policy can forbid. Unsure means yes.
    pub(crate) fn is_forbid(&self, id: &str) -> bool {
        self.policies
            .policy(&PolicyId::new(id))
            .is_none_or(|policy| policy.effect() == Effect::Forbid)
    }
}

/// Indexes a policy set for callers of the settings' principal type.
pub(super) fn index(loaded: &Loaded, config: &Config, namespace: &str) -> Result<Index, Problems> {
    let unconditional = plain::unconditional(&loaded.policies);
    let mut lenses = HashMap::new();
    let mut index = Index::new();
    for (key, policies) in sort(loaded, config) {
        let unsorted = |message| Problems(vec![Problem::of_file(&config.path, message)]);
        let policies =
            PolicySet::from_policies(policies).map_err(|error| unsorted(error.to_string()))?;
        let action = loaded.schema.nested.get(&key.0).cloned();
        let actions = Entities::from_entities(action, None);
        let asks = Asks {
            principal: &loaded.principal,
            action: &key.0,
            resource: &key.1,
            unconditional: &unconditional,
            actions: &actions.map_err(|error| unsorted(error.to_string()))?,
        };
        let scoped = Scoped::new(&policies, &asks).map_err(unsorted)?;
        let parent = application_above(&loaded.schema, &key.1, namespace);
        let mentions = Mentions::of(policies.policies(), &config.principal);
        let mentions = as_related(mentions, loaded, &key.1, parent.is_some());
        let lens = Arc::new(lens(&loaded.schema, &key.0, &mentions));
        let next = u32::try_from(lenses.len()).unwrap_or(u32::MAX);
        let lens_number = *lenses.entry(Arc::clone(&lens)).or_insert(next);
        let applicable = Applicable {
            policies,
            scoped,
            resource_parent: parent.filter(|_| mentions.resource_parents),
            mentions,
            lens,
            lens_number,
        };
        index.insert(key, Arc::new(applicable));
    }
    Ok(index)
}

/// What policies mention, and what that depends on where resources can be the caller or a group of the caller.
fn as_related(
    mut mentions: Mentions,
    loaded: &Loaded,
    resource: &EntityTypeName,
    in_application: bool,
) -> Mentions {
    let is_caller = *resource == loaded.principal;
    let is_group = loaded.group.as_ref() == Some(resource);
    if in_application && (is_caller || is_group) {
        mentions = mentions.with_resource_above_caller();
    }
    if is_caller {
        mentions = mentions.with_self_as_resource();
    }
    mentions
}

/// Where the schema lets resources be in the application, they are.
fn application_above(
    schema: &Schema,
    resource: &EntityTypeName,
    namespace: &str,
) -> Option<EntityUid> {
    let application = application(namespace).ok()?;
    let parents = &schema.entity(&resource.to_string())?.parents;
    let within = parents.contains(&application.type_name().to_string());
    within.then_some(application)
}

/// Every action and type of resource, with the policies that Cedar's type checker does not find to be always false there.
fn sort(loaded: &Loaded, config: &Config) -> HashMap<(EntityUid, EntityTypeName), Vec<Policy>> {
    let mut sorted: HashMap<_, Vec<Policy>> = HashMap::new();
    let actions = loaded.schema.actions();
    for (action, shape) in actions.filter(|(_, shape)| shape.principals.contains(&config.principal))
    {
        let resources = shape
            .resources
            .iter()
            .filter_map(|resource| resource.parse().ok());
        sorted.extend(resources.map(|resource| ((action.clone(), resource), Vec::new())));
    }
    for policy in loaded.policies.policies() {
        let environments = policy.get_valid_request_envs(&loaded.schema.cedar);
        for env in environments.filter(|env| *env.principal() == loaded.principal) {
            let key = (env.action().clone(), env.resource().clone());
            sorted.entry(key).or_default().push(policy.clone());
        }
    }
    sorted
}

fn lens(schema: &Schema, action: &EntityUid, mentions: &Mentions) -> Lens {
    let token = schema
        .action(action)
        .and_then(|action| action.context.get(TOKEN));
    let token = token.and_then(|token| match &token.ty {
        Type::Record(record) => Some((record.clone(), token.required)),
        _ => None,
    });
    Lens {
        token_mentioned: token.is_some() && mentions.context.touch(&[TOKEN]),
        claims: mentions.context.within(TOKEN),
        mentions: mentions.caller.clone(),
        token,
        action: schema.nested.contains_key(action).then(|| action.clone()),
    }
}
