//! A Cedar schema, with its types in a form that claims and requests can be projected onto.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    Entity, EntityUid, Schema as CedarSchema, SchemaFragment,
    schema_str_to_json_with_resolved_types,
};
use serde_json::Value;

/// A schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) cedar: CedarSchema,
    entities: HashMap<String, EntityType>,
    actions: HashMap<EntityUid, Action>,
    /// The actions that are in other ones, as entities that know it.
    pub(crate) nested: HashMap<EntityUid, Entity>,
}

/// An entity type.
#[derive(Debug, Default)]
pub(crate) struct EntityType {
    /// Types of its direct parents.
    pub(crate) parents: Vec<String>,
    pub(crate) attributes: Record,
}

/// What an action applies to.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) principals: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) context: Record,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Bool,
    Long,
    String,
    Extension(Extension),
    /// No claim and no part of a request is an entity.
    Entity,
    Set(Box<Type>),
    Record(Record),
}

/// Cedar's extension types, which are written as strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Extension {
    Ip,
    Decimal,
    Datetime,
    Duration,
}

/// A record type, or the attributes of an entity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Record(pub(crate) BTreeMap<String, Attribute>);

/// One attribute of a record type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Attribute {
    pub(crate) ty: Type,
    pub(crate) required: bool,
}

impl Schema {
    /// Of a schema that Cedar has already accepted, in the syntax it was written in.
    pub(crate) fn new(cedar: CedarSchema, fragment: &SchemaFragment) -> Result<Self, String> {
        let text = fragment
            .to_cedarschema()
            .map_err(|error| error.to_string())?;
        let (json, _) =
            schema_str_to_json_with_resolved_types(&text).map_err(|error| error.to_string())?;
        let reader = Reader::new(&json);
        let entities = reader
            .members("entityTypes", "")
            .map(|(name, _, entity)| (name, reader.entity(entity)))
            .collect();
        let uids: HashMap<String, EntityUid> = cedar
            .actions()
            .map(|uid| (uid_key(uid), uid.clone()))
            .collect();
        let actions = reader
            .members("actions", "Action")
            .filter_map(|(ty, id, action)| {
                let uid = uids.get(&format!("{ty} {id}"))?.clone();
                Some((uid, reader.action(action.get("appliesTo")?)))
            });
        Ok(Self {
            actions: actions.collect(),
            nested: nested(&cedar),
            cedar,
            entities,
        })
    }

    pub(crate) fn entity(&self, name: &str) -> Option<&EntityType> {
        self.entities.get(name)
    }

    pub(crate) fn action(&self, uid: &EntityUid) -> Option<&Action> {
        self.actions.get(uid)
    }

    pub(crate) fn actions(&self) -> impl Iterator<Item = (&EntityUid, &Action)> {
        self.actions.iter()
    }
}

impl Record {
    pub(crate) fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, attribute)| (&**name, attribute))
    }
}

fn nested(schema: &CedarSchema) -> HashMap<EntityUid, Entity> {
    let Ok(all) = schema.action_entities() else {
        return HashMap::new();
    };
    let is_nested = |uid: &EntityUid| {
        all.ancestors(uid)
            .is_some_and(|mut all| all.next().is_some())
    };
    let nested = all.iter().filter(|entity| is_nested(&entity.uid()));
    nested
        .map(|entity| (entity.uid(), entity.clone()))
        .collect()
}

/// One key for an action's type and id; a type has no space.
fn uid_key(uid: &EntityUid) -> String {
    format!("{} {}", uid.type_name(), uid.id().unescaped())
}

/// Reads Cedar's JSON form of a schema whose names are all resolved, so fully qualified.
struct Reader<'a> {
    json: &'a Value,
    common: HashMap<String, &'a Value>,
}

impl<'a> Reader<'a> {
    fn new(json: &'a Value) -> Self {
        let mut reader = Self {
            json,
            common: HashMap::new(),
        };
        reader.common = reader
            .members("commonTypes", "")
            .map(|(name, _, ty)| (name, ty))
            .collect();
        reader
    }

    /// All members of one kind: the qualified name (of `within`, if that is said), the bare name, and the definition.
    fn members(
        &self,
        kind: &'a str,
        within: &'a str,
    ) -> impl Iterator<Item = (String, &'a str, &'a Value)> + use<'a> {
        let namespaces = self.json.as_object().into_iter().flatten();
        namespaces.flat_map(move |(namespace, definitions)| {
            let members = definitions
                .get(kind)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            members.map(move |(name, definition)| {
                let last = if within.is_empty() { name } else { within };
                let qualified = if namespace.is_empty() {
                    last.to_owned()
                } else {
                    format!("{namespace}::{last}")
                };
                (qualified, &**name, definition)
            })
        })
    }

    fn entity(&self, json: &Value) -> EntityType {
        let attributes = json
            .get("shape")
            .map(|shape| self.record(shape))
            .unwrap_or_default();
        EntityType {
            parents: strings(json.get("memberOfTypes")),
            attributes,
        }
    }

    fn action(&self, json: &Value) -> Action {
        let context = json
            .get("context")
            .map(|context| self.record(context))
            .unwrap_or_default();
        Action {
            principals: strings(json.get("principalTypes")),
            resources: strings(json.get("resourceTypes")),
            context,
        }
    }

    fn record(&self, json: &Value) -> Record {
        match self.ty(json) {
            Type::Record(record) => record,
            _ => Record::default(),
        }
    }

    fn ty(&self, json: &Value) -> Type {
        let name = json.get("type").and_then(Value::as_str).unwrap_or_default();
        match name.strip_prefix("__cedar::").unwrap_or(name) {
            "Boolean" | "Bool" => Type::Bool,
            "Long" => Type::Long,
            "String" => Type::String,
            "Set" => Type::Set(Box::new(
                json.get("element")
                    .map_or(Type::Entity, |element| self.ty(element)),
            )),
            "Record" => Type::Record(self.attributes(json)),
            "Extension" => extension(json.get("name").and_then(Value::as_str).unwrap_or_default()),
            name => self
                .common
                .get(name)
                .map_or_else(|| extension(name), |common| self.ty(common)),
        }
    }

    fn attributes(&self, json: &Value) -> Record {
        let attributes = json
            .get("attributes")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let attributes = attributes.map(|(name, json)| {
            let required = json
                .get("required")
                .and_then(Value::as_bool)
                .unwrap_or(true);
            (
                name.clone(),
                Attribute {
                    ty: self.ty(json),
                    required,
                },
            )
        });
        Record(attributes.collect())
    }
}

/// What is none of Cedar's extension types is an entity, also where this version of Cedar knows a newer kind of type: the
/// one kind that nothing is projected onto.
fn extension(name: &str) -> Type {
    match name.strip_prefix("__cedar::").unwrap_or(name) {
        "ipaddr" => Type::Extension(Extension::Ip),
        "decimal" => Type::Extension(Extension::Decimal),
        "datetime" => Type::Extension(Extension::Datetime),
        "duration" => Type::Extension(Extension::Duration),
        _ => Type::Entity,
    }
}

fn strings(json: Option<&Value>) -> Vec<String> {
    let items = json.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Schema as CedarSchema, SchemaFragment};

    use super::{Extension, Schema, Type};

    const TEXT: &str = r#"
        type Name = { first: String, last?: __cedar::String };
        namespace A {
            type Token = { scope: Set<__cedar::String>, "custom:x"?: Long, ok: Bool };
            entity Group;
            entity User in [Group] = { name: Name, boss?: User };
            entity String;
            action read;
            action "get /x" in [read] appliesTo {
                principal: [User], resource: [Group],
                context: { token?: Token, ip: ipaddr, odd?: A::String, d?: decimal },
            };
        }
    "#;

    fn check(schema: &Schema) {
        let uid = r#"A::Action::"get /x""#.parse().unwrap();
        let action = schema.action(&uid).unwrap();
        assert_eq!(
            (&action.principals[..], &action.resources[..]),
            (&["A::User".into()][..], &["A::Group".into()][..])
        );
        let Type::Record(token) = &action.context.get("token").unwrap().ty else {
            panic!("token")
        };
        assert_eq!(
            token.get("scope").unwrap().ty,
            Type::Set(Box::new(Type::String))
        );
        assert!(!token.get("custom:x").unwrap().required);
        assert_eq!(token.get("ok").unwrap().ty, Type::Bool);
        assert_eq!(
            action.context.get("ip").unwrap().ty,
            Type::Extension(Extension::Ip)
        );
        assert_eq!(action.context.get("odd").unwrap().ty, Type::Entity);
        let user = schema.entity("A::User").unwrap();
        assert_eq!(user.parents, ["A::Group"]);
        let Type::Record(name) = &user.attributes.get("name").unwrap().ty else {
            panic!("name")
        };
        assert_eq!(name.get("last").unwrap().ty, Type::String);
        assert_eq!(user.attributes.get("boss").unwrap().ty, Type::Entity);
    }

    #[test]
    fn both_syntaxes_give_the_same_types() {
        let (fragment, _) = SchemaFragment::from_cedarschema_str(TEXT).unwrap();
        let cedar = CedarSchema::from_schema_fragments([fragment.clone()]).unwrap();
        check(&Schema::new(cedar.clone(), &fragment).unwrap());
        let json = SchemaFragment::from_json_value(fragment.to_json_value().unwrap()).unwrap();
        check(&Schema::new(cedar, &json).unwrap());
    }
}
