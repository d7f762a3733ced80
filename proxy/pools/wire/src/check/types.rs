//! JSON types: the first that does not fit ends the walk.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::UNEXPECTED;
use crate::shape::{Kind, Member, Shape};
use crate::value::parse_time;

/// Whether every value is of its shape's type; the message is AWS's.
pub(super) fn check(shape: &Shape, value: &Value) -> Result<(), String> {
    match (&shape.kind, value) {
        // A null is an absent member; whether it may be absent is a limit, not a type.
        (_, Value::Null)
        | (Kind::Document, _)
        | (Kind::Text { .. }, Value::String(_))
        | (Kind::Boolean, Value::Bool(_)) => Ok(()),
        (Kind::Structure { union, members }, Value::Object(object)) => {
            members
                .iter()
                .filter_map(|member| Some((member, object.get(member.name)?)))
                .try_for_each(|(member, value)| check(member.shape, value))?;
            if *union {
                one_member(members, object)
            } else {
                Ok(())
            }
        }
        (Kind::Map { value: shape, .. }, Value::Object(object)) => {
            object.values().try_for_each(|value| check(shape, value))
        }
        (Kind::List { item, .. }, Value::Array(items)) => {
            items.iter().try_for_each(|value| check(item, value))
        }
        (Kind::Integer { .. }, Value::Number(number)) if number.as_i64().is_some() => Ok(()),
        (Kind::Timestamp, Value::Number(_) | Value::String(_)) if parse_time(value).is_some() => {
            Ok(())
        }
        (Kind::Blob { .. }, Value::String(text)) if STANDARD.decode(text).is_ok() => Ok(()),
        (Kind::Blob { .. }, Value::String(_)) => Err("Invalid Base64 encoding".into()),
        _ => Err(mismatch(shape, value)),
    }
}

/// Of a union exactly one member is set.
fn one_member(members: &[Member], object: &serde_json::Map<String, Value>) -> Result<(), String> {
    let set = members.iter().filter(|member| {
        object
            .get(member.name)
            .is_some_and(|value| !value.is_null())
    });
    if set.count() == 1 {
        Ok(())
    } else {
        Err("Union must have exactly one member set".into())
    }
}

fn mismatch(shape: &Shape, value: &Value) -> String {
    let wanted = match &shape.kind {
        Kind::Text { .. } => "a String",
        Kind::Integer { .. } => "an Integer",
        Kind::Boolean => "a Boolean",
        Kind::Timestamp => "milliseconds since epoch",
        Kind::Blob { .. } => "a ByteBuffer",
        Kind::Document => return UNEXPECTED.into(),
        Kind::List { .. } | Kind::Map { .. } | Kind::Structure { .. } => {
            return collection(shape, value);
        }
    };
    match value {
        Value::String(_) => format!("STRING_VALUE can not be converted to {wanted}"),
        Value::Number(number) if number.is_f64() => {
            format!("DECIMAL_VALUE can not be converted to {wanted}")
        }
        Value::Number(_) => format!("NUMBER_VALUE can not be converted to {wanted}"),
        Value::Bool(true) => format!("TRUE_VALUE can not be converted to {wanted}"),
        Value::Bool(false) => format!("FALSE_VALUE can not be converted to {wanted}"),
        Value::Array(_) | Value::Object(_) => start(value).into(),
        Value::Null => UNEXPECTED.into(),
    }
}

fn collection(shape: &Shape, value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => start(value).into(),
        _ if matches!(shape.kind, Kind::List { .. }) => "Expected list or null".into(),
        _ => "Expected map or null".into(),
    }
}

fn start(value: &Value) -> &'static str {
    if value.is_array() {
        "Start of list found where not expected"
    } else {
        "Start of structure or map found where not expected."
    }
}
