//! Callers, as Cedar evaluates policies against them.

use std::borrow::Cow;

use cedar_policy::{
    Context, Entities, Entity, EntityUid, RestrictedExpression, entities_errors::EntitiesError,
};

use super::{Lens, Projected, Types, invalid, text};
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
    /// Roughly how many bytes they take.
    weight: usize,
}

impl Facts {
    /// Makes the principal of a caller.
    pub(crate) fn new(caller: &impl Caller, types: &Types, lens: &Lens) -> Result<Self, Outcome> {
        let projected = Projected::of(caller, types, lens)?;
        let weight = projected.weight()?;
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
            weight,
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
        self.weight as u64
    }
}

impl Projected<'_> {
    /// Roughly how many bytes Cedar makes of it: some hundreds of each value, of which a set may have many.
    fn weight(&self) -> Result<usize, Outcome> {
        let token = self
            .token
            .as_ref()
            .map_or(Ok(0), |token| Ok(text(token)?.len()));
        let texts = text(&self.attributes)?.len() + token?;
        Ok(2048 + 512 * self.groups.len() + 32 * texts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_a_set_has_in_it_is_counted() {
        let weight = |count: usize| {
            let element = |number| RestrictedExpression::new_string(format!("pets/{number}"));
            let set = RestrictedExpression::new_set((0..count).map(element));
            let projected = Projected {
                uid: r#"User::"u""#.parse().unwrap(),
                groups: BTreeSet::new(),
                attributes: Vec::new(),
                token: Some(vec![("scope", set)]),
            };
            projected.weight().unwrap()
        };
        // A value of Cedar's, and its place in two kinds of sets.
        assert!(weight(1000) > weight(1) + 999 * 200);
    }
}
