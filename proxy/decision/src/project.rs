//! Claims, projected onto a schema's types.

use cedar_policy::{Context, RestrictedExpression};
use serde_json::{Map, Value};

use crate::{
    Claims,
    schema::{Attribute, Extension, Record, Type},
};

/// Why claims do not fit: the path of the claim, and what the schema says of it. Never contains the claim's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    path: String,
    kind: &'static str,
}

impl Misfit {
    fn of(kind: &'static str) -> Self {
        Self {
            path: String::new(),
            kind,
        }
    }

    fn within(self, name: &str) -> Self {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{name}.{}", self.path)
        };
        Self { path, ..self }
    }

    /// The sentence for the decision record.
    pub(crate) fn detail(&self) -> String {
        format!("claim `{}` {}", self.path, self.kind)
    }
}

/// The declared claims, in the order of their names: what is not declared is dropped, an absent optional stays absent.
pub(crate) fn claims<'t>(
    claims: &impl Claims,
    declared: &'t Record,
) -> Result<Vec<(&'t str, RestrictedExpression)>, Misfit> {
    members(declared, |name, attribute| match claims.get(name) {
        Some(claim) => special(name, &claim, &attribute.ty)
            .unwrap_or_else(|| value(&claim, &attribute.ty))
            .map(Some),
        None => prefixed(claims, name, &attribute.ty).transpose(),
    })
}

/// A Cedar string, IP address or other extension value.
pub(crate) fn extension(text: &str, extension: Extension) -> RestrictedExpression {
    match extension {
        Extension::Ip => RestrictedExpression::new_ip(text),
        Extension::Decimal => RestrictedExpression::new_decimal(text),
        Extension::Datetime => RestrictedExpression::new_datetime(text),
        Extension::Duration => RestrictedExpression::new_duration(text),
    }
}

fn members(
    declared: &Record,
    mut project: impl FnMut(&str, &Attribute) -> Result<Option<RestrictedExpression>, Misfit>,
) -> Result<Vec<(&str, RestrictedExpression)>, Misfit> {
    let mut members = Vec::new();
    for (name, attribute) in declared.iter() {
        match project(name, attribute).map_err(|misfit| misfit.within(name))? {
            Some(value) => members.push((name, value)),
            None if attribute.required => {
                return Err(Misfit::of("is required and absent").within(name));
            }
            None => {}
        }
    }
    Ok(members)
}

/// Claims that are strings on the wire and may be sets in a schema: `scope` (RFC 8693 section 4.2, as Verified Permissions
/// gives it) and an `aud` of one (RFC 7519 section 4.1.3).
fn special(name: &str, claim: &Value, ty: &Type) -> Option<Result<RestrictedExpression, Misfit>> {
    let (Type::Set(element), Some(text)) = (ty, claim.as_str()) else {
        return None;
    };
    let items: Vec<&str> = match name {
        "scope" => text.split(' ').filter(|scope| !scope.is_empty()).collect(),
        "aud" => vec![text],
        _ => return None,
    };
    let items = items
        .into_iter()
        .map(|item| value(&Value::from(item), element));
    Some(
        items
            .collect::<Result<Vec<_>, _>>()
            .map(RestrictedExpression::new_set),
    )
}

/// The older form `principal.custom.x`: a record `custom` gathers the claims `custom:…` that it declares.
fn prefixed(
    claims: &impl Claims,
    name: &str,
    ty: &Type,
) -> Option<Result<RestrictedExpression, Misfit>> {
    let Type::Record(_) = ty else { return None };
    let prefix = format!("{name}:");
    let gathered = claims.names().filter_map(|claim| {
        let member = claim.strip_prefix(&prefix)?.to_owned();
        Some((member, claims.get(claim)?.into_owned()))
    });
    let gathered: Map<String, Value> = gathered.collect();
    if gathered.is_empty() {
        None
    } else {
        Some(value(&Value::Object(gathered), ty))
    }
}

fn value(claim: &Value, ty: &Type) -> Result<RestrictedExpression, Misfit> {
    match (ty, claim) {
        (Type::Bool, Value::Bool(flag)) => Ok(RestrictedExpression::new_bool(*flag)),
        (Type::Long, Value::Number(number)) => number
            .as_i64()
            .map(RestrictedExpression::new_long)
            .ok_or(Misfit::of("is not an integer of 64 bits")),
        (Type::String, Value::String(text)) => Ok(RestrictedExpression::new_string(text.clone())),
        (Type::Extension(kind), Value::String(text)) => checked(extension(text, *kind)),
        (Type::Set(element), Value::Array(items)) => {
            let items = items.iter().map(|item| value(item, element));
            Ok(RestrictedExpression::new_set(
                items.collect::<Result<Vec<_>, _>>()?,
            ))
        }
        (Type::Record(record), Value::Object(claims)) => {
            let members = members(record, |name, attribute| {
                claims
                    .get(name)
                    .map(|claim| value(claim, &attribute.ty))
                    .transpose()
            })?;
            RestrictedExpression::new_record(owned(members))
                .map_err(|_| Misfit::of("has a member twice"))
        }
        (Type::Entity, _) => Err(Misfit::of(
            "has an entity type in the schema, which no claim can have",
        )),
        _ => Err(Misfit::of("has another type than in the schema")),
    }
}

/// Whether Cedar can read the text of an extension value.
fn checked(value: RestrictedExpression) -> Result<RestrictedExpression, Misfit> {
    match Context::from_pairs([(String::new(), value.clone())]) {
        Ok(_) => Ok(value),
        Err(_) => Err(Misfit::of("is not a value of its type in the schema")),
    }
}

/// Pairs as Cedar's constructors take them.
pub(crate) fn owned<'a>(
    members: impl IntoIterator<Item = (&'a str, RestrictedExpression)>,
) -> impl Iterator<Item = (String, RestrictedExpression)> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Context, Schema as CedarSchema, SchemaFragment};
    use serde_json::{Map, Value, json};

    use super::{claims, owned};
    use crate::schema::Schema;

    /// The projection of these claims onto a user with these attributes, as Cedar prints it.
    fn project(attributes: &str, json: Value) -> Result<String, String> {
        let text = format!("entity User = {{ {attributes} }};");
        let (fragment, _) = SchemaFragment::from_cedarschema_str(&text).unwrap();
        let schema = Schema::new(
            CedarSchema::from_schema_fragments([fragment.clone()]).unwrap(),
            &fragment,
        )
        .unwrap();
        let Value::Object(json) = json else {
            return Err("no object".into());
        };
        let json: Map<String, Value> = json;
        let members = claims(&json, &schema.entity("User").unwrap().attributes)
            .map_err(|misfit| misfit.detail())?;
        Ok(Context::from_pairs(owned(members))
            .unwrap()
            .to_json_value()
            .unwrap()
            .to_string())
    }

    #[test]
    fn declared_claims_are_kept_and_others_dropped() {
        let given = json!({"sub": "u1", "age": 7, "ok": true, "tags": ["a"], "name": {"first": "A", "x": 1}, "other": 1.5});
        let projected = project(
            "sub: String, age?: Long, ok: Bool, tags: Set<String>, name: { first: String, last?: String }, gone?: String",
            given,
        );
        assert_eq!(
            projected.unwrap(),
            json!({"age": 7, "name": {"first": "A"}, "ok": true, "sub": "u1", "tags": ["a"]})
                .to_string()
        );
    }

    #[test]
    fn special_claims_become_sets() {
        assert_eq!(
            project(
                "scope: Set<String>, aud: Set<String>",
                json!({"scope": "a b", "aud": "x"})
            )
            .unwrap(),
            r#"{"aud":["x"],"scope":["a","b"]}"#
        );
        assert_eq!(
            project("scope: String", json!({"scope": "a b"})).unwrap(),
            r#"{"scope":"a b"}"#
        );
        assert_eq!(
            project(
                "custom?: { x?: String }, \"custom:x\": String",
                json!({"custom:x": "1"})
            )
            .unwrap(),
            r#"{"custom":{"x":"1"},"custom:x":"1"}"#
        );
    }

    #[test]
    fn what_does_not_fit_is_named_without_its_value() {
        let detail = |attributes, json| project(attributes, json).unwrap_err();
        assert_eq!(
            detail("a: { b: Long }", json!({"a": {"b": "secret"}})),
            "claim `a.b` has another type than in the schema"
        );
        assert_eq!(
            detail("a: Long", json!({"a": 1.5})),
            "claim `a` is not an integer of 64 bits"
        );
        assert_eq!(
            detail("a: Long", json!({})),
            "claim `a` is required and absent"
        );
        assert_eq!(
            detail("a?: Set<String>", json!({"a": ["x", 1]})),
            "claim `a` has another type than in the schema"
        );
        assert_eq!(
            detail("a?: String", json!({"a": null})),
            "claim `a` has another type than in the schema"
        );
        assert_eq!(
            detail("a?: ipaddr", json!({"a": "1.2.3"})),
            "claim `a` is not a value of its type in the schema"
        );
        assert_eq!(
            detail("a?: User", json!({"a": "x"})),
            "claim `a` has an entity type in the schema, which no claim can have"
        );
    }

    #[test]
    fn extension_values_are_read() {
        let given = json!({"ip": "10.0.0.0/8", "d": "1.5", "t": "2026-01-01T00:00:00Z", "u": "1h"});
        assert!(project("ip: ipaddr, d: decimal, t: datetime, u: duration", given).is_ok());
    }
}
