//! A tree to types: a serde deserializer whose errors know their place.

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor, value::StrDeserializer,
    },
};

use super::{
    Entry, Node, Value,
    fault::{Fault, Kind, one_of},
};
use crate::place::Segment;

/// Reads a type, or says where that fails first.
pub(crate) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    T::deserialize(Reader(node))
}

#[derive(Clone, Copy)]
struct Reader<'n>(&'n Node);

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null | Value::Placeholder(_) => visitor.visit_unit(),
            Value::Bool(flag, _) => visitor.visit_bool(*flag),
            Value::Unsigned(number, _) => visitor.visit_u64(*number),
            Value::Signed(number, _) => visitor.visit_i64(*number),
            Value::Float(number, _) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                current: None,
            }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Bool(_, text)
            | Value::Unsigned(_, text)
            | Value::Signed(_, text)
            | Value::Float(_, text) => visitor.visit_str(text),
            Value::Placeholder(attempt) => {
                visitor.visit_str(ATTEMPTS.get(*attempt).copied().unwrap_or_default())
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null | Value::Placeholder(_) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Placeholder(_) => visitor.visit_seq(Items([].iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Placeholder(_) => visitor.visit_map(Entries {
                rest: [].iter(),
                current: None,
            }),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Derived types would take a list for a mapping, its items in the order of the fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::List(_) => Err(Fault::invalid_type(Unexpected::Seq, &"a mapping")),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Text(word) => visitor.visit_enum(word.as_str().into_deserializer()),
            Value::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant {
                    word: &entry.key,
                    node: &entry.node,
                }),
                _ => Err(Kind::Other(format!(
                    "expected a mapping with one key, {}",
                    one_of(words)
                ))
                .into()),
            },
            Value::Placeholder(_) => match words.first() {
                Some(word) => visitor.visit_enum(Variant { word, node: self.0 }),
                None => self.deserialize_any(visitor),
            },
            _ => Err(Kind::Other(format!("expected {}", one_of(words))).into()),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier
    }
}

struct Items<'n>(std::slice::Iter<'n, (usize, Node)>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader(node))
            .map(Some)
            .map_err(|fault| fault.within(Segment::Index(*index)))
    }
}

struct Entries<'n> {
    rest: std::slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.rest.next();
        let Some(entry) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let entry = self
            .current
            .ok_or_else(|| Fault::custom("a value without a key"))?;
        seed.deserialize(Reader(&entry.node))
            .map_err(|fault| fault.within(Segment::Key(entry.key.clone())))
    }
}

/// A word of an enum, with what belongs to it.
struct Variant<'n> {
    word: &'n str,
    node: &'n Node,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Fault> {
        let word: StrDeserializer<'n, Fault> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.node.value {
            Value::Null | Value::Placeholder(_) => Ok(()),
            _ => Err(Kind::Other(format!(
                "`{}` is a word of its own, without a value",
                self.word
            ))
            .into()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        // A placeholder has no members.
        let is_written = !matches!(self.node.value, Value::Placeholder(_));
        let place = |fault: Fault| {
            if is_written {
                fault.within(Segment::Key(self.word.to_owned()))
            } else {
                fault
            }
        };
        seed.deserialize(Reader(self.node)).map_err(place)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        Reader(self.node).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        Reader(self.node).deserialize_map(visitor)
    }
}

/// What a placeholder says where text is wanted, one after the other until a type takes it.
const ATTEMPTS: [&str; 4] = ["", "0.0.0.0:0", "0.0.0.0/0", "http://0.0.0.0"];

/// The attempts there are.
pub(crate) const ATTEMPT_COUNT: usize = ATTEMPTS.len();
