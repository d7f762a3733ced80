//! `Schema` as callers give it and the store keeps it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::standard::standard;
use super::{Attribute, Kind, MAX_LENGTH};
use crate::{Error, Result};

/// `SchemaAttributes` of a new pool: the standard ones as the caller changed them, then the caller's own.
pub(in crate::pool) fn declare(given: Option<&Value>) -> Result<Value> {
    let mut attributes = standard();
    for wire in given
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
    {
        let name = wire.get("Name").and_then(Value::as_str).unwrap_or_default();
        match attributes
            .iter_mut()
            .find(|known| known.get("Name").and_then(Value::as_str) == Some(name))
        {
            Some(known) => change_standard(known, wire, name)?,
            None => attributes.push(custom(wire, name)?),
        }
    }
    let names: BTreeSet<_> = attributes
        .iter()
        .map(|a| a.get("Name").map(Value::to_string))
        .collect();
    if names.len() != attributes.len() {
        return Err(Error::invalid_parameter(
            "Schema attributes must have different names.",
        ));
    }
    Ok(Value::Array(
        attributes.into_iter().map(Value::Object).collect(),
    ))
}

fn change_standard(
    known: &mut Map<String, Value>,
    wire: &Map<String, Value>,
    name: &str,
) -> Result<()> {
    let differs = |key: &str| {
        wire.get(key)
            .is_some_and(|value| known.get(key) != Some(value))
    };
    if differs("AttributeDataType") || differs("DeveloperOnlyAttribute") {
        return Err(Error::invalid_parameter(format!(
            "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute {name}"
        )));
    }
    if name == "sub" && (differs("Mutable") || differs("Required")) {
        return Err(Error::invalid_parameter(
            "You can not change the standard schema attribute sub",
        ));
    }
    for key in [
        "Mutable",
        "Required",
        "StringAttributeConstraints",
        "NumberAttributeConstraints",
    ] {
        if let Some(value) = wire.get(key) {
            known.insert(key.into(), value.clone());
        }
    }
    Wire::of(known)?.attribute_given()
}

fn custom(wire: &Map<String, Value>, name: &str) -> Result<Map<String, Value>> {
    if wire.get("Required") == Some(&Value::Bool(true)) {
        return Err(Error::invalid_parameter(
            "Required custom attributes are not supported currently.",
        ));
    }
    let mut attribute = wire.clone();
    let developer = wire.get("DeveloperOnlyAttribute") == Some(&Value::Bool(true));
    let prefix = if developer { "dev:custom:" } else { "custom:" };
    attribute.insert("Name".into(), format!("{prefix}{name}").into());
    for (key, default) in [
        ("AttributeDataType", Value::from("String")),
        ("DeveloperOnlyAttribute", false.into()),
    ] {
        attribute.entry(key).or_insert(default);
    }
    // AWS: an attribute is immutable unless the caller says otherwise.
    attribute.entry("Mutable").or_insert(false.into());
    attribute.entry("Required").or_insert(false.into());
    let constraints = match attribute.get("AttributeDataType").and_then(Value::as_str) {
        Some("String") => Some("StringAttributeConstraints"),
        Some("Number") => Some("NumberAttributeConstraints"),
        _ => None,
    };
    if let Some(key) = constraints {
        attribute
            .entry(key)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    Wire::of(&attribute)?.attribute_given()?;
    Ok(attribute)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wire {
    name: String,
    attribute_data_type: String,
    #[serde(default)]
    developer_only_attribute: bool,
    #[serde(default)]
    mutable: bool,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    number_attribute_constraints: Option<Bounds>,
    #[serde(default)]
    string_attribute_constraints: Option<Bounds>,
}

#[derive(Debug, Default, Deserialize)]
struct Bounds {
    #[serde(alias = "MinLength", alias = "MinValue")]
    min: Option<String>,
    #[serde(alias = "MaxLength", alias = "MaxValue")]
    max: Option<String>,
}

impl Wire {
    fn of(object: &Map<String, Value>) -> Result<Self> {
        Deserialize::deserialize(&Value::Object(object.clone()))
            .map_err(|_| Error::invalid_parameter("Invalid schema attribute."))
    }

    /// Refuses constraints a caller gave that say nothing sensible.
    fn attribute_given(&self) -> Result<()> {
        let problem = || {
            Error::invalid_parameter(format!(
                "Invalid constraints of the schema attribute {}.",
                self.name
            ))
        };
        let ordered = match self.attribute().map_err(|_| problem())?.kind {
            Kind::String { min, max } => {
                max.is_none_or(|max| max <= MAX_LENGTH && min.is_none_or(|min| min <= max))
                    && min.is_none_or(|min| min <= MAX_LENGTH)
            }
            Kind::Number {
                min: Some(min),
                max: Some(max),
            } => min <= max,
            _ => true,
        };
        if ordered { Ok(()) } else { Err(problem()) }
    }

    pub(super) fn attribute(&self) -> Result<Attribute> {
        let none = Bounds::default();
        let kind = match self.attribute_data_type.as_str() {
            "String" => {
                let bounds = self.string_attribute_constraints.as_ref().unwrap_or(&none);
                Kind::String {
                    min: bound(bounds.min.as_deref())?,
                    max: bound(bounds.max.as_deref())?,
                }
            }
            "Number" => {
                let bounds = self.number_attribute_constraints.as_ref().unwrap_or(&none);
                Kind::Number {
                    min: bound(bounds.min.as_deref())?,
                    max: bound(bounds.max.as_deref())?,
                }
            }
            "DateTime" => Kind::DateTime,
            "Boolean" => Kind::Boolean,
            _ => {
                return Err(Error::Corrupt {
                    what: "attribute schema",
                    source: None,
                });
            }
        };
        Ok(Attribute {
            name: self.name.clone(),
            kind,
            mutable: self.mutable,
            required: self.required,
            developer_only: self.developer_only_attribute,
        })
    }
}

fn bound<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>> {
    text.map(str::parse)
        .transpose()
        .map_err(|_| Error::Corrupt {
            what: "attribute schema",
            source: None,
        })
}
