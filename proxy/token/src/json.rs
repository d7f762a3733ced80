//! JSON that has one reading: a name given twice in an object, at any depth, is refused.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 let parsers take the last of two equal names; another parser behind the gate
//! may take the first, so such a document is not accepted at all.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads an object that makes up the whole of `document`.
pub(crate) fn object(document: &[u8]) -> Option<Map<String, Value>> {
    // One look over the whole is cheaper than one at each string.
    let document = std::str::from_utf8(document).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let value = ROOT.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// Reads a [`Value`], refusing repeated names. Depth is bounded by `serde_json` (128).
#[derive(Clone, Copy)]
struct Unambiguous {
    /// Members to make room for in an object.
    members: usize,
}

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(NESTED)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::with_capacity(self.members);
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(NESTED)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is given twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

/// Room for the claims of a Cognito access token: growing step by step would hash each name several times.
const ROOT: Unambiguous = Unambiguous { members: 16 };

/// No room in advance: an array of many empty objects must not cost more than it is long.
const NESTED: Unambiguous = Unambiguous { members: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_is_refused_at_any_depth() {
        assert!(object(br#"{"a":1,"b":{"a":2}}"#).is_some());
        assert!(object(br#"{"a":1,"a":1}"#).is_none());
        assert!(object(br#"{"a":[{"b":1,"b":2}]}"#).is_none());
        // The same name, once escaped.
        assert!(object(br#"{"iss":"x","\u0069ss":"y"}"#).is_none());
    }

    #[test]
    fn only_a_whole_object_is_read() {
        assert!(object(b"[]").is_none());
        assert!(object(b"{} {}").is_none());
        assert!(object(b"{\"a\":1e999}").is_none());
        assert!(object("[".repeat(100_000).as_bytes()).is_none());
    }
}
