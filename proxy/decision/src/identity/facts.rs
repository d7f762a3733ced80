//! Callers, as Cedar evaluates policies against them.

use std::borrow::Cow;

use cedar_policy::{
    Context, Entities, Entity, EntityUid, RestrictedExpression, entities_errors::EntitiesError,
};

use super::{Lens, Projected, Types, invalid};
use crate::{Caller, Code, Outcome, inputs::TOKEN, project::owned};

/// A caller as Cedar's entities and values, under a lens. They take more room than all else of a caller, and only a decision
/// that is made anew asks for them.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) uid: EntityUid,
    /// The principal, and the action if it is in other ones.
    entities: Entities,
    /// `context.token`, if a policy mentions it.
    pub(crate) token: Option<(String, RestrictedExpression)>,
    /// A context of the token alone.
    pub(crate) context: Context,
    /// How many groups, attributes and claims these are.
    count: usize,
}

impl Facts {
    /// Makes the principal of a caller.
    pub(crate) fn new(caller: &impl Caller, types: &Types, lens: &Lens) -> Result<Self, Outcome> {
        Self::of(Projected::of(caller, types, lens)?, types, lens)
    }

    pub(super) fn of(
        projected: Projected<'_>,
        types: &Types,
        lens: &Lens,
    ) -> Result<Self, Outcome> {
        let count = projected.count();
        let Projected {
            uid,
            groups,
            attributes,
            token,
        } = projected;
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
            uid,
            entities,
            token,
            context,
            count,
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

    /// Roughly how many bytes they take.
    pub(crate) fn weight(&self) -> u64 {
        (2048 + 512 * self.count) as u64
    }
}

impl Projected<'_> {
    fn count(&self) -> usize {
        let claims = self.token.as_ref().map_or(0, Vec::len);
        self.groups.len() + self.attributes.len() + claims
    }
}
