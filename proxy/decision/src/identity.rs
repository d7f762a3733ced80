//! Callers, as policies see them.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
    entities_errors::EntitiesError,
};
use serde_json::Map;

use crate::{
    Caller, Code, Outcome,
    inputs::{TOKEN, write_entity, write_text},
    mention::{CallerMentions, Paths},
    project::{self, owned},
    recent::{self, Recent},
    resource::entity_text,
    schema::Record,
};

/// How callers become principals for those of a policy set's routes whose policies mention the same of a caller.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lens {
    pub(crate) mentions: CallerMentions,
    /// What the action declares of `context.token`, and whether it requires it.
    pub(crate) token: Option<(Record, bool)>,
    /// Whether `context.token` is mentioned at all.
    pub(crate) token_mentioned: bool,
    /// What is mentioned within it.
    pub(crate) claims: Paths,
    /// The action, if it is in other ones.
    pub(crate) action: Option<EntityUid>,
}

/// What principals of a policy set are made of.
#[derive(Debug)]
pub(crate) struct Types {
    pub(crate) principal: EntityTypeName,
    pub(crate) group: Option<EntityTypeName>,
    pub(crate) attributes: Record,
    /// The actions that are in other ones.
    pub(crate) actions: HashMap<EntityUid, Entity>,
}

/// A caller as the policies of a lens see it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) uid: EntityUid,
    pub(crate) text: Arc<str>,
    /// The principal, and the action if it is in other ones.
    pub(crate) entities: Entities,
    /// `context.token`, if a policy mentions it.
    pub(crate) token: Option<(String, RestrictedExpression)>,
    /// A context of the token alone.
    pub(crate) context: Context,
    /// What is mentioned of the caller, as it stands in the keys of remembered decisions.
    pub(crate) key: Box<[u8]>,
    /// What was decided last for the caller.
    pub(crate) recent: Recent,
}

/// Projected claims.
type Members<'t> = Vec<(&'t str, RestrictedExpression)>;

impl Identity {
    /// Makes the principal of a caller: every declared claim is checked, those that policies mention are kept.
    pub(crate) fn new(caller: &impl Caller, types: &Types, lens: &Lens) -> Result<Self, Outcome> {
        let attributes = attributes(caller, types, lens)?;
        let token = token(caller, lens)?;
        let groups = groups(caller, types);
        let uid =
            EntityUid::from_type_name_and_id(types.principal.clone(), EntityId::new(caller.id()));
        let key = key(&uid, &groups, &attributes, token.as_ref(), lens)?;
        let parents = groups.into_iter().collect();
        let principal =
            Entity::new(uid.clone(), owned(attributes).collect(), parents).map_err(invalid)?;
        let action = lens
            .action
            .as_ref()
            .and_then(|action| types.actions.get(action))
            .cloned();
        let entities = Entities::from_entities([principal].into_iter().chain(action), None)
            .map_err(invalid)?;
        let token = token
            .map(|token| RestrictedExpression::new_record(owned(token)))
            .transpose()
            .map_err(invalid)?;
        let token = token.map(|token| (TOKEN.to_owned(), token));
        let context = Context::from_pairs(token.clone()).map_err(invalid)?;
        Ok(Self {
            text: entity_text(&uid).into(),
            uid,
            entities,
            token,
            context,
            key,
            recent: Recent::default(),
        })
    }

    /// The principal and the action, and the resource if it is in something. A resource that is the caller is that one
    /// entity, with all that it has and is in. The application is not put into itself.
    pub(crate) fn entities_with(
        &self,
        resource: &EntityUid,
        parent: Option<&EntityUid>,
    ) -> Result<Cow<'_, Entities>, Outcome> {
        let Some(parent) = parent.filter(|parent| *parent != resource).cloned() else {
            return Ok(Cow::Borrowed(&self.entities));
        };
        let entity = match self.entities.get(resource) {
            None => Entity::new_no_attrs(resource.clone(), [parent].into()),
            Some(known) => {
                let (uid, attributes, mut parents) = known.clone().into_inner();
                parents.insert(parent);
                Entity::new(uid, attributes, parents).map_err(invalid)?
            }
        };
        let entities = self.entities.clone().upsert_entities([entity], None);
        let invalid = |error: EntitiesError| Outcome::refusal(Code::PolicyError, error.to_string());
        entities.map(Cow::Owned).map_err(invalid)
    }

    /// The key of a decision for this caller, from what it depends on besides.
    pub(crate) fn key_of(&self, rest: &[u8]) -> Box<[u8]> {
        let length = (self.key.len() as u64).to_le_bytes();
        [&length, &*self.key, rest].concat().into()
    }

    /// Roughly how many bytes it occupies.
    pub(crate) fn weight(&self) -> u32 {
        const FIXED: usize = 1024 + recent::WEIGHT;
        u32::try_from(FIXED + 4 * self.key.len() + 2 * self.text.len()).unwrap_or(u32::MAX)
    }
}

fn attributes<'t>(
    caller: &impl Caller,
    types: &'t Types,
    lens: &Lens,
) -> Result<Members<'t>, Outcome> {
    let none = Map::new();
    let attributes = project::claims(caller.id_claims().unwrap_or(&none), &types.attributes);
    let mut attributes =
        attributes.map_err(|misfit| Outcome::refusal(Code::ClaimsInvalid, misfit.detail()))?;
    attributes.retain(|(name, _)| lens.mentions.attributes.touch(&[name]));
    Ok(attributes)
}

fn token<'t>(caller: &impl Caller, lens: &'t Lens) -> Result<Option<Members<'t>>, Outcome> {
    let Some((declared, required)) = &lens.token else {
        return Ok(None);
    };
    let Some(claims) = caller.access_claims() else {
        let missing = || {
            Outcome::refusal(
                Code::ClaimsInvalid,
                "the action requires `context.token`, and there is no access token",
            )
        };
        return if *required { Err(missing()) } else { Ok(None) };
    };
    let mut members = project::claims(claims, declared)
        .map_err(|misfit| Outcome::refusal(Code::ClaimsInvalid, misfit.detail()))?;
    members.retain(|(name, _)| lens.claims.touch(&[name]));
    Ok(lens.token_mentioned.then_some(members))
}

/// The caller's groups as policies name them, prefix included, each once and in one order.
fn groups(caller: &impl Caller, types: &Types) -> BTreeSet<EntityUid> {
    let Some(ty) = &types.group else {
        return BTreeSet::new();
    };
    let groups = caller.groups().into_iter().map(|group| {
        let id = caller
            .group_prefix()
            .map_or_else(|| group.to_owned(), |prefix| format!("{prefix}|{group}"));
        EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
    });
    groups.collect()
}

/// Everything that is mentioned of a caller, so that no two callers of one lens who differ in it read alike.
///
/// INVARIANT: entities stand here as policies are evaluated against them. What only a part of an id tells, such as a group's
/// bare name, is the same for callers of different issuers.
fn key(
    principal: &EntityUid,
    groups: &BTreeSet<EntityUid>,
    attributes: &Members<'_>,
    token: Option<&Members<'_>>,
    lens: &Lens,
) -> Result<Box<[u8]>, Outcome> {
    let mut key = Vec::new();
    write_entity(&mut key, lens.mentions.principal.then_some(principal));
    if lens.mentions.groups {
        for group in groups {
            write_entity(&mut key, Some(group));
        }
    }
    // Ends the groups.
    write_entity(&mut key, None);
    write_text(&mut key, Some(&text(attributes)?));
    write_text(&mut key, token.map(text).transpose()?.as_deref());
    Ok(key.into())
}

/// Projected claims in one spelling: JSON, with sets in order.
fn text(members: &Members<'_>) -> Result<String, Outcome> {
    if members.is_empty() {
        return Ok(String::new());
    }
    let members = Context::from_pairs(owned(members.iter().cloned())).map_err(invalid)?;
    Ok(members.to_json_value().map_err(invalid)?.to_string())
}

/// For what projection leaves no room for; denies all the same. Cedar's messages can contain values, so they are not kept.
fn invalid<E>(_: E) -> Outcome {
    Outcome::refusal(Code::ClaimsInvalid, "the claims make no Cedar entity")
}
