//! The one validator: walks a decoded JSON value along the generated tables, first for types, then for limits.

mod limits;
mod types;

use serde_json::Value;

use crate::operation::Request;
use crate::shape::Shape;

/// Why a request was refused before any rule of the service was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The bytes are not what the protocol allows; AWS's text where it has one.
    #[error("{0}")]
    Malformed(String),
    /// Members are missing or beyond their limits; AWS's text.
    #[error("{0}")]
    Invalid(String),
}

/// Checks a request's value against its shape, with AWS's messages.
pub fn check(shape: &Shape, value: &Value) -> Result<(), Rejected> {
    types::check(shape, value).map_err(Rejected::Malformed)?;
    match limits::violations(shape, value) {
        found if found.is_empty() => Ok(()),
        found => Err(Rejected::Invalid(limits::message(&found))),
    }
}

/// The typed request of a value that was checked.
pub fn typed<R: Request>(value: Value) -> Result<R, Rejected> {
    // After the check only what the tables cannot say is left, such as a union's member next to a null one.
    serde_json::from_value(value).map_err(|_| Rejected::Malformed(UNEXPECTED.into()))
}

/// What AWS answers where a token is of no type it can name.
const UNEXPECTED: &str = "Unexpected token received from parser";

#[cfg(test)]
mod tests;
