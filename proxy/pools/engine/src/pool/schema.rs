//! The attributes that users of a pool may have, and what their values must look like.

mod declare;
mod standard;
mod value;

use serde::Deserialize;
use serde_json::Value;

use declare::Wire;
pub(super) use declare::declare;

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
        let wires: Vec<Wire> = Deserialize::deserialize(document)
            .map_err(|source| Error::corrupt("attribute schema", source))?;
        Ok(Self {
            attributes: wires.iter().map(Wire::attribute).collect::<Result<_>>()?,
        })
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// All of them.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter()
    }

    /// Names of the attributes every user has.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        // Everybody has a `sub`; nobody gives one.
        self.attributes()
            .filter(|attribute| attribute.required && attribute.name != "sub")
            .map(|a| a.name.as_str())
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
    pub fn check_new<'a>(&self, given: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let mut filled = Vec::new();
        for (name, value) in given {
            self.check(name, value)?;
            if !value.is_empty() {
                filled.push(name);
            }
        }
        let mut missing = String::new();
        for name in self.required().filter(|name| !filled.contains(name)) {
            missing.push_str(&required(name));
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(nonconforming(&missing))
        }
    }

    /// Refuses a new value for an existing user: it must fit, and an immutable attribute keeps what it has.
    pub fn check_change(&self, name: &str, value: &str, current: Option<&str>) -> Result<()> {
        let attribute = self.known(name)?;
        if !attribute.mutable && current != Some(value) {
            return Err(immutable(name));
        }
        if attribute.required && value.is_empty() {
            return Err(nonconforming(&required(name)));
        }
        self.check(name, value)
    }

    /// Refuses to take an attribute away from a user.
    pub fn check_removal(&self, name: &str) -> Result<()> {
        let attribute = self.known(name)?;
        if attribute.required {
            return Err(nonconforming(&required(name)));
        }
        if attribute.mutable {
            Ok(())
        } else {
            Err(immutable(name))
        }
    }

    fn known(&self, name: &str) -> Result<&Attribute> {
        self.attribute(name).ok_or_else(|| {
            nonconforming(&format!(
                "{name}: Attribute does not exist in the schema.\n"
            ))
        })
    }
}

fn required(name: &str) -> String {
    format!("{name}: The attribute is required\n")
}

fn nonconforming(problem: &str) -> Error {
    Error::invalid_parameter(format!(
        "Attributes did not conform to the schema: {problem}"
    ))
}

fn immutable(name: &str) -> Error {
    Error::invalid_parameter(format!("user.{name}: Attribute cannot be updated.\n"))
}

/// AWS's limit on any attribute value.
const MAX_LENGTH: u64 = 2048;

#[cfg(test)]
mod tests;
