//! Callers, as policies see them.

mod facts;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::Map;

pub(crate) use self::facts::Facts;
use crate::{
    Caller, Code, Outcome,
    inputs::{write_entity, write_text},
    mention::{CallerMentions, Paths},
    project::{self, owned},
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

/// A caller as the policies of a lens tell callers apart. One is remembered for each token and lens, so it holds no more than a
/// remembered decision asks for; [`Facts`] have the rest.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) text: Arc<str>,
    /// Stands for what is mentioned of the caller: a SHA-256 of it, for the keys of remembered decisions.
    pub(crate) key: [u8; 32],
}

/// What a caller's tokens come to under a lens.
struct Projected<'t> {
    uid: EntityUid,
    groups: BTreeSet<EntityUid>,
    attributes: Members<'t>,
    token: Option<Members<'t>>,
}

/// Projected claims.
type Members<'t> = Vec<(&'t str, RestrictedExpression)>;

impl Identity {
    /// Checks every declared claim of a caller, and finds out what is mentioned.
    ///
    /// INVARIANT: whoever has an identity has facts: decisions that are remembered of other callers are not for one of whom
    /// Cedar can make no entity, as one who is its own group.
    pub(crate) fn new(caller: &impl Caller, types: &Types, lens: &Lens) -> Result<Self, Outcome> {
        let projected = Projected::of(caller, types, lens)?;
        let identity = Self {
            text: entity_text(&projected.uid).into(),
            key: sha256(&projected.key(lens)?)?,
        };
        // To make entities of a caller takes longer than all else, so it is left to who evaluates policies. What could fail
        // then has not failed just now, in the key, but for a caller who is in itself.
        if projected.groups.contains(&projected.uid) {
            return Err(invalid("the caller is its own group"));
        }
        Ok(identity)
    }
}

impl<'t> Projected<'t> {
    /// Every declared claim is checked, those that policies mention are kept.
    fn of(caller: &impl Caller, types: &'t Types, lens: &'t Lens) -> Result<Self, Outcome> {
        let id = EntityId::new(caller.id());
        Ok(Self {
            attributes: attributes(caller, types, lens)?,
            token: token(caller, lens)?,
            groups: groups(caller, types),
            uid: EntityUid::from_type_name_and_id(types.principal.clone(), id),
        })
    }

    /// Everything that is mentioned of a caller, so that no two callers of one lens who differ in it read alike.
    ///
    /// INVARIANT: entities stand here as policies are evaluated against them. What only a part of an id tells, such as a
    /// group's bare name, is the same for callers of different issuers.
    fn key(&self, lens: &Lens) -> Result<Vec<u8>, Outcome> {
        let mut key = Vec::with_capacity(256);
        write_entity(&mut key, lens.mentions.principal.then_some(&self.uid));
        if lens.mentions.groups {
            for group in &self.groups {
                write_entity(&mut key, Some(group));
            }
        }
        // Ends the groups.
        write_entity(&mut key, None);
        write_text(&mut key, Some(&text(&self.attributes)?));
        let token = self.token.as_ref().map(text).transpose()?;
        write_text(&mut key, token.as_deref());
        Ok(key)
    }
}

fn attributes<'t>(
    caller: &impl Caller,
    types: &'t Types,
    lens: &Lens,
) -> Result<Members<'t>, Outcome> {
    let attributes = match caller.id_claims() {
        Some(claims) => project::claims(&claims, &types.attributes),
        None => project::claims(&Map::new(), &types.attributes),
    };
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
    let mut members = project::claims(&claims, declared)
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

/// Projected claims in one spelling: JSON, with sets in order.
fn text(members: &Members<'_>) -> Result<String, Outcome> {
    if members.is_empty() {
        return Ok(String::new());
    }
    let members = Context::from_pairs(owned(members.iter().cloned())).map_err(invalid)?;
    Ok(members.to_json_value().map_err(invalid)?.to_string())
}

fn sha256(key: &[u8]) -> Result<[u8; 32], Outcome> {
    let digest = digest(&SHA256, key);
    digest.as_ref().try_into().map_err(invalid)
}

/// For what projection leaves no room for; denies all the same. Cedar's messages can contain values, so they are not kept.
fn invalid<E>(_: E) -> Outcome {
    Outcome::refusal(Code::ClaimsInvalid, "the claims make no Cedar entity")
}
