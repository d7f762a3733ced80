//! Reads JSON into its packed form, in one pass and without a tree.

use std::{collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

use super::{FALSE, LIST, NULL, NUMBER, OBJECT, Object, TEXT, TRUE, digits};

/// Packs an object that makes up the whole of `document`.
pub(super) fn object(document: &[u8]) -> Option<String> {
    // One look over the whole is cheaper than one at each string.
    let document = std::str::from_utf8(document).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(document);
    // A member takes a few octets more than in its text.
    let mut packed = String::with_capacity(document.len() + document.len() / 4);
    (&mut deserializer)
        .deserialize_map(Members(&mut packed))
        .ok()?;
    deserializer.end().ok()?;
    Some(packed)
}

/// Appends a value. Depth is bounded by `serde_json` (128).
struct Packing<'o>(&'o mut String);

impl Packing<'_> {
    fn put<E: Error>(self, tag: u8, body: &str) -> Result<(), E> {
        self.0.push(char::from(tag));
        put_text(self.0, body)
    }

    fn number<E: Error>(self, number: &Number) -> Result<(), E> {
        self.put(NUMBER, &number.to_string())
    }

    /// Appends what `fill` appends, with its length before it.
    fn within<E: Error>(
        self,
        tag: u8,
        fill: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        self.0.push(char::from(tag));
        let at = self.0.len();
        self.0.push_str(UNKNOWN);
        let start = self.0.len();
        fill(self.0)?;
        let length = length(self.0.len() - start)?;
        self.0.replace_range(at..start, as_text(&length)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Packing<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Packing<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(NULL, "")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(if value { TRUE } else { FALSE }, "")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(&value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(&value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value);
        self.number(&number.ok_or_else(|| E::custom("a number is not finite"))?)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(TEXT, value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.within(LIST, |out| {
            while items.next_element_seed(Packing(out))?.is_some() {}
            Ok(())
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        self.within(OBJECT, |out| Members(out).visit_map(members))
    }
}

/// Appends the members of an object.
struct Members<'o>(&'o mut String);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let start = self.0.len();
        let mut names = Names::default();
        while let Some(()) = members.next_key_seed(Name {
            out: &mut *self.0,
            start,
            names: &mut names,
        })? {
            members.next_value_seed(Packing(self.0))?;
        }
        Ok(())
    }
}

/// Appends a member's name, unless the object has it already.
struct Name<'o> {
    out: &'o mut String,
    /// Where the object begins.
    start: usize,
    names: &'o mut Names,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        let before = self.out.get(self.start..).unwrap_or_default();
        if self.names.is_new(name, Object::of(before)) {
            put_text(self.out, name)
        } else {
            Err(E::custom("a name is given twice"))
        }
    }
}

/// The names that an object has so far.
#[derive(Default)]
struct Names {
    count: usize,
    /// A bit for some of the names each: a name whose bit is not set is new.
    some: u64,
    /// All of them, once looking through them one by one would make an object of many names dear.
    many: HashSet<String>,
}

impl Names {
    /// Takes a name in; `before` is the object as far as it is packed.
    fn is_new(&mut self, name: &str, before: Object<'_>) -> bool {
        self.count += 1;
        if self.count > FEW {
            if self.many.is_empty() {
                self.many = before.iter().map(|(name, _)| name.to_owned()).collect();
            }
            return self.many.insert(name.to_owned());
        }
        let spread = name.bytes().fold(0_u8, |spread, byte| {
            spread.wrapping_mul(31).wrapping_add(byte)
        });
        let bit = 1 << (spread & 63);
        let is_new = self.some & bit == 0 || !before.has(name);
        self.some |= bit;
        is_new
    }
}

fn put_text<E: Error>(out: &mut String, text: &str) -> Result<(), E> {
    out.push_str(as_text(&length(text.len())?)?);
    out.push_str(text);
    Ok(())
}

fn length<E: Error>(length: usize) -> Result<[u8; 3], E> {
    digits(length).ok_or_else(|| E::custom("a value is too long"))
}

fn as_text<E: Error>(digits: &[u8; 3]) -> Result<&str, E> {
    std::str::from_utf8(digits).map_err(E::custom)
}

/// Stands where a length will stand.
const UNKNOWN: &str = "\0\0\0";
/// Up to so many names are looked through one by one.
const FEW: usize = 32;
