//! The attributes that users of a pool may have, and what their values must look like.

mod standard;
mod value;

use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use standard::standard;

use crate::{Error, Result};

/// All attributes of a pool.
#[derive(Debug, Clone)]
pub struct Schema {
    attributes: Vec<Attribute>,
}

/// One attribute.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// As on the wire: `email`, `custom:team`, `dev:custom:team`.
    pub name: String,
    /// What values look like.
    pub kind: Kind,
    /// Whether a value may change after the user is made.
    pub mutable: bool,
    /// Whether every user has it.
    pub required: bool,
    /// Whether only operators write it.
    pub developer_only: bool,
}

/// What an attribute's values look like. All are texts on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Text of a length in characters.
    String {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// A decimal number.
    Number {
        /// At least.
        min: Option<f64>,
        /// At most.
        max: Option<f64>,
    },
    /// A moment: ISO 8601, or epoch milliseconds.
    DateTime,
    /// `true` or `false`.
    Boolean,
}

impl Schema {
    /// Reads `SchemaAttributes`.
    pub(crate) fn read(document: &Value) -> Result<Self> {
        let wires: Vec<Wire> =
            Deserialize::deserialize(document).map_err(|source| Error::corrupt("attribute schema", source))?;
        Ok(Self { attributes: wires.iter().map(Wire::attribute).collect::<Result<_>>()? })
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// All of them.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter()
    }

    /// Names of the attributes every user has.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        // Everybody has a `sub`; nobody gives one.
        self.attributes().filter(|attribute| attribute.required && attribute.name != "sub").map(|a| a.name.as_str())
    }

    /// Refuses an unknown attribute or a value that does not fit it.
    pub fn check(&self, name: &str, value: &str) -> Result<()> {
        let attribute = self.known(name)?;
        if name == "sub" || name == "identities" {
            return Err(immutable(name));
        }
        value::check(attribute, value)
    }

    /// Refuses the attributes of a new user if one does not fit or a required one is missing.
    pub fn check_new<'a>(&self, given: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<()> {
        for (name, value) in given.clone() {
            self.check(name, value)?;
        }
        let missing: String = self
            .required()
            .filter(|required| !given.clone().any(|(name, value)| name == *required && !value.is_empty()))
            .map(|name| format!("{name}: The attribute is required\n"))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(nonconforming(&missing)) }
    }

    /// Refuses a new value for an existing user: it must fit, and an immutable attribute keeps what it has.
    pub fn check_change(&self, name: &str, value: &str, current: Option<&str>) -> Result<()> {
        let attribute = self.known(name)?;
        if !attribute.mutable && current != Some(value) {
            return Err(immutable(name));
        }
        if attribute.required && value.is_empty() {
            return Err(nonconforming(&format!("{name}: The attribute is required\n")));
        }
        self.check(name, value)
    }

    /// Refuses to take an attribute away from a user.
    pub fn check_removal(&self, name: &str) -> Result<()> {
        let attribute = self.known(name)?;
        if attribute.required {
            return Err(nonconforming(&format!("{name}: The attribute is required\n")));
        }
        if attribute.mutable { Ok(()) } else { Err(immutable(name)) }
    }

    fn known(&self, name: &str) -> Result<&Attribute> {
        self.attribute(name)
            .ok_or_else(|| nonconforming(&format!("Type for attribute {{{name}}} could not be determined")))
    }
}

/// `SchemaAttributes` of a new pool: the standard ones as the caller changed them, then the caller's own.
pub(crate) fn declare(given: Option<&Value>) -> Result<Value> {
    let mut attributes = standard();
    for wire in given.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        let name = wire.get("Name").and_then(Value::as_str).unwrap_or_default();
        match attributes.iter_mut().find(|known| known.get("Name").and_then(Value::as_str) == Some(name)) {
            Some(known) => change_standard(known, wire, name)?,
            None => attributes.push(custom(wire, name)?),
        }
    }
    let names: std::collections::BTreeSet<_> = attributes.iter().map(|a| a.get("Name").map(Value::to_string)).collect();
    if names.len() != attributes.len() {
        return Err(Error::invalid_parameter("Schema attributes must have different names."));
    }
    Ok(Value::Array(attributes.into_iter().map(Value::Object).collect()))
}

fn change_standard(known: &mut Map<String, Value>, wire: &Map<String, Value>, name: &str) -> Result<()> {
    let differs = |key: &str| wire.get(key).is_some_and(|value| known.get(key) != Some(value));
    if differs("AttributeDataType") || differs("DeveloperOnlyAttribute") {
        return Err(Error::invalid_parameter(format!(
            "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute {name}"
        )));
    }
    if name == "sub" && (differs("Mutable") || differs("Required")) {
        return Err(Error::invalid_parameter("You can not change the standard schema attribute sub"));
    }
    for key in ["Mutable", "Required", "StringAttributeConstraints", "NumberAttributeConstraints"] {
        if let Some(value) = wire.get(key) {
            known.insert(key.into(), value.clone());
        }
    }
    Wire::of(known)?.attribute_given()
}

fn custom(wire: &Map<String, Value>, name: &str) -> Result<Map<String, Value>> {
    if wire.get("Required") == Some(&Value::Bool(true)) {
        return Err(Error::invalid_parameter("Required custom attributes are not supported currently."));
    }
    let mut attribute = wire.clone();
    let developer = wire.get("DeveloperOnlyAttribute") == Some(&Value::Bool(true));
    let prefix = if developer { "dev:custom:" } else { "custom:" };
    attribute.insert("Name".into(), format!("{prefix}{name}").into());
    for (key, default) in [("AttributeDataType", Value::from("String")), ("DeveloperOnlyAttribute", false.into())] {
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
        attribute.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    Wire::of(&attribute)?.attribute_given()?;
    Ok(attribute)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
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
            Error::invalid_parameter(format!("Invalid constraints of the schema attribute {}.", self.name))
        };
        let ordered = match self.attribute().map_err(|_| problem())?.kind {
            Kind::String { min, max } => {
                max.is_none_or(|max| max <= MAX_LENGTH && min.is_none_or(|min| min <= max))
                    && min.is_none_or(|min| min <= MAX_LENGTH)
            }
            Kind::Number { min: Some(min), max: Some(max) } => min <= max,
            _ => true,
        };
        if ordered { Ok(()) } else { Err(problem()) }
    }

    fn attribute(&self) -> Result<Attribute> {
        let none = Bounds::default();
        let kind = match self.attribute_data_type.as_str() {
            "String" => {
                let bounds = self.string_attribute_constraints.as_ref().unwrap_or(&none);
                Kind::String { min: bound(bounds.min.as_deref())?, max: bound(bounds.max.as_deref())? }
            }
            "Number" => {
                let bounds = self.number_attribute_constraints.as_ref().unwrap_or(&none);
                Kind::Number { min: bound(bounds.min.as_deref())?, max: bound(bounds.max.as_deref())? }
            }
            "DateTime" => Kind::DateTime,
            "Boolean" => Kind::Boolean,
            _ => return Err(Error::Corrupt { what: "attribute schema", source: None }),
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
    text.map(str::parse).transpose().map_err(|_| Error::Corrupt { what: "attribute schema", source: None })
}

fn nonconforming(problem: &str) -> Error {
    Error::invalid_parameter(format!("Attributes did not conform to the schema: {problem}"))
}

fn immutable(name: &str) -> Error {
    Error::invalid_parameter(format!("user.{name}: Attribute cannot be updated.\n"))
}

/// AWS's limit on any attribute value.
const MAX_LENGTH: u64 = 2048;

#[cfg(test)]
mod tests;
