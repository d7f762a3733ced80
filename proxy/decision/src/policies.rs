//! A policy set, loaded and indexed.

mod index;
mod plain;
mod scope;
mod shared;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use self::index::Index;
pub(crate) use self::{
    index::Applicable,
    plain::Plain,
    shared::{Decisions, Met, Shared},
};
use crate::{
    Ask, Config, Guard, Problem, Problems,
    identity::Types,
    inputs::Inputs,
    load,
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
    index: Index,
    guards: AtomicU64,
    hash: String,
    ids: Vec<String>,
    warnings: Vec<Problem>,
}

impl Policies {
    /// Loads and validates a directory; nothing is loaded if there is any problem. `generation` names the snapshot in decisions.
    pub fn load(config: &Config, generation: u64) -> Result<Self, Problems> {
        let loaded = load::load(config)?;
        let namespace = config
            .principal
            .rsplit_once("::")
            .map_or_else(String::new, |(namespace, _)| format!("{namespace}::"));
        let index = index::index(&loaded, config, &namespace)?;
        let types = Types {
            principal: loaded.principal,
            group: loaded.group,
            attributes: loaded
                .schema
                .entity(&config.principal)
                .map(|ty| ty.attributes.clone())
                .unwrap_or_default(),
            actions: loaded.schema.nested.clone(),
        };
        let shared = Shared::new(
            generation,
            loaded.policies.is_empty(),
            types,
            config.remembered_bytes,
        );
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
        let fail =
            |messages: Vec<String>| Problems(messages.into_iter().map(Problem::of_route).collect());
        let action = entity(&format!("{}Action", self.namespace), ask.action)
            .map_err(|message| fail(vec![message]))?;
        let resource = self.resource(ask).map_err(fail)?;
        let applicable = self
            .applicable(&action, resource.ty())
            .map_err(|message| fail(vec![message]))?;
        let context = self
            .schema
            .action(&action)
            .map(|action| action.context.clone())
            .unwrap_or_default();
        let inputs =
            Inputs::plan(&context, &applicable.mentions.context, ask).map_err(|messages| {
                fail(
                    messages
                        .into_iter()
                        .map(|message| format!("action `{}`: {message}", ask.action))
                        .collect(),
                )
            })?;
        Ok(Guard {
            number: self.guards.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(&self.shared),
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
        let mut ids: Vec<&str> = self
            .index
            .keys()
            .map(|(action, _)| action.id().unescaped())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Headers that the schema lets policies of an action read.
    pub(crate) fn declared_headers(&self, action: &str) -> Vec<String> {
        let action = entity(&format!("{}Action", self.namespace), action).ok();
        let context = action
            .and_then(|action| self.schema.action(&action))
            .map(|action| &action.context);
        match context
            .and_then(|context| context.get("headers"))
            .map(|headers| &headers.ty)
        {
            Some(Type::Record(headers)) => {
                headers.iter().map(|(name, _)| name.to_owned()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn resource(&self, ask: &Ask<'_>) -> Result<Resource, Vec<String>> {
        let resource = match ask.resource {
            Some(text) => Resource::parse(text, ask.parameters)?,
            None => Resource::Fixed(Named::new(
                application(&self.namespace).map_err(|message| vec![message])?,
            )),
        };
        let ty = resource.ty().to_string();
        let Some(declared) = self.schema.entity(&ty) else {
            return Err(vec![format!(
                "the resource's type `{ty}` is not in the schema"
            )]);
        };
        let required = declared
            .attributes
            .iter()
            .filter(|(_, attribute)| attribute.required);
        let problems: Vec<_> = required
            .map(|(name, _)| format!("attribute `{name}` of the resource's type `{ty}` is required, and nothing gives it a value"))
            .collect();
        if problems.is_empty() {
            Ok(resource)
        } else {
            Err(problems)
        }
    }

    fn applicable(
        &self,
        action: &EntityUid,
        resource: &EntityTypeName,
    ) -> Result<Arc<Applicable>, String> {
        if let Some(applicable) = self.index.get(&(action.clone(), resource.clone())) {
            return Ok(Arc::clone(applicable));
        }
        Err(match self.schema.action(action) {
            None => format!(
                "action `{}` is not in the schema, or applies to nothing",
                action.id().unescaped()
            ),
            Some(found) if found.resources.contains(&resource.to_string()) => {
                let principal = self.shared.principal_type();
                format!(
                    "action `{}` does not apply to principals of type `{principal}`",
                    action.id().unescaped()
                )
            }
            Some(_) => format!(
                "action `{}` does not apply to resources of type `{resource}`",
                action.id().unescaped()
            ),
        })
    }
}

/// `PetStore::Application::"PetStore"`, as Verified Permissions' quick start has it.
fn application(namespace: &str) -> Result<EntityUid, String> {
    let name = namespace.strip_suffix("::").unwrap_or_default();
    entity(&format!("{namespace}Application"), name)
}

fn entity(ty: &str, id: &str) -> Result<EntityUid, String> {
    let ty: EntityTypeName = ty
        .parse()
        .map_err(|_| format!("`{ty}` is not the name of an entity type"))?;
    Ok(EntityUid::from_type_name_and_id(ty, EntityId::new(id)))
}

#[cfg(test)]
mod tests;
