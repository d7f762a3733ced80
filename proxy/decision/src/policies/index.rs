//! Which policies can apply to which action and type of resource, and what they mention.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{Effect, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet};

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
    pub(crate) policies: PolicySet,
    pub(crate) mentions: Mentions,
    pub(super) lens: Arc<Lens>,
    /// The lens's number within the snapshot.
    pub(super) lens_number: usize,
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
pub(super) fn index(loaded: &Loaded, config: &Config) -> Result<Index, Problems> {
    let mut lenses = HashMap::new();
    let mut index = Index::new();
    for (key, policies) in sort(loaded, config) {
        let policies = PolicySet::from_policies(policies)
            .map_err(|error| Problems(vec![Problem::of_file(&config.path, error.to_string())]))?;
        let mut mentions = Mentions::of(policies.policies(), &config.principal);
        if key.1 == loaded.principal {
            mentions = mentions.with_self_as_resource(is_in_more_than_groups(loaded, config));
        }
        let lens = Arc::new(lens(&loaded.schema, &key.0, &mentions));
        let next = lenses.len();
        let lens_number = *lenses.entry(Arc::clone(&lens)).or_insert(next);
        let applicable = Applicable {
            policies,
            mentions,
            lens,
            lens_number,
        };
        index.insert(key, Arc::new(applicable));
    }
    Ok(index)
}

/// Whether the schema lets principals be in anything else, such as the application.
fn is_in_more_than_groups(loaded: &Loaded, config: &Config) -> bool {
    let principal = loaded.schema.entity(&config.principal);
    principal.is_some_and(|ty| {
        let mut parents = ty.parents.iter();
        parents.any(|parent| Some(parent) != config.group.as_ref())
    })
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
