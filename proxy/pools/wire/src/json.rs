//! awsJson 1.0 and 1.1: JSON bodies both ways.

use serde::Serialize;
use serde_json::Value;

use crate::check::{Rejected, check};
use crate::shape::Shape;

/// A body as the value of a checked request.
pub fn decode(shape: &Shape, body: &[u8]) -> Result<Value, Rejected> {
    // AWS gives malformed JSON no message.
    let value: Value =
        serde_json::from_slice(body).map_err(|_| Rejected::Malformed(String::new()))?;
    if !value.is_object() {
        return Err(Rejected::Malformed(
            "Unexpected token received from parser".into(),
        ));
    }
    check(shape, &value)?;
    Ok(value)
}

/// A response's body; operations without one answer with none.
pub fn encode<T: Serialize>(response: &T) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(response)?;
    // `()` is what stands for no response, and writes `null`.
    Ok(if body == b"null" { Vec::new() } else { body })
}
