//! JSON objects in one allocation: tokens are remembered by the hundred thousand, and each is asked for few of its claims.

mod read;

use serde_json::{Map, Number, Value};

/// A JSON object, read and packed: about as long as a text of strings, and a few times one of small numbers, where a tree of
/// values takes several times that.
///
/// It has one reading: a name given twice in an object, at any depth, is refused. RFC 7515 section 4 and RFC 7519 section 4
/// let parsers take the last of two equal names; another parser behind the gate may take the first.
///
/// There is no `Debug`, as what tokens say of users is in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed(Box<str>);

/// A packed object, as it stands in what holds it.
///
/// INVARIANT: written by [`Packed::read`]. Each member is the length of its name, its name, a tag, the length of its value,
/// its value; lengths are three octets of seven bits, so that all of it is one text that is read without copies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Object<'p>(&'p str);

/// A list within a packed object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct List<'p>(&'p str);

/// A value of a packed object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Claim<'p> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number in the one spelling that [`Number`] gives it.
    Number(&'p str),
    /// A string.
    Text(&'p str),
    /// An array.
    List(List<'p>),
    /// An object.
    Object(Object<'p>),
}

impl Packed {
    /// Reads an object that makes up the whole of `document`; nothing where it is no object with one reading.
    pub fn read(document: &[u8]) -> Option<Self> {
        read::object(document).map(|packed| Self(packed.into()))
    }

    /// The object.
    pub fn object(&self) -> Object<'_> {
        Object(&self.0)
    }
}

impl<'p> Object<'p> {
    /// Where a text of the object stands in [`Object::as_str`].
    pub(crate) fn offset(self, text: &str) -> Option<usize> {
        let start = text.as_ptr().addr().checked_sub(self.0.as_ptr().addr())?;
        (start + text.len() <= self.0.len()).then_some(start)
    }

    /// What [`Packed`] holds, as a text that can be kept.
    pub(crate) fn as_str(self) -> &'p str {
        self.0
    }

    /// The object in a text of [`Object::as_str`].
    pub(crate) fn of(packed: &'p str) -> Self {
        Self(packed)
    }

    /// The member of this name.
    pub fn get(self, name: &str) -> Option<Claim<'p>> {
        let mut rest = self.0;
        loop {
            let found = take_name(&mut rest)?;
            let value = Unread::take(&mut rest)?;
            if found == name {
                return value.read();
            }
        }
    }

    /// Names and values, in the order in which they were written.
    pub fn iter(self) -> impl Iterator<Item = (&'p str, Claim<'p>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let name = take_name(&mut rest)?;
            Some((name, Unread::take(&mut rest)?.read()?))
        })
    }

    /// Whether there is a member of this name.
    pub fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The same as a tree.
    pub(crate) fn to_map(self) -> Map<String, Value> {
        let members = self.iter();
        members
            .map(|(name, claim)| (name.to_owned(), claim.to_value()))
            .collect()
    }
}

impl<'p> List<'p> {
    /// Its items.
    pub fn iter(self) -> impl Iterator<Item = Claim<'p>> {
        let mut rest = self.0;
        std::iter::from_fn(move || Unread::take(&mut rest)?.read())
    }
}

impl<'p> Claim<'p> {
    /// The text, where it is one.
    pub fn as_str(self) -> Option<&'p str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where it is a whole one that is not negative.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Self::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The number, where it is one.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The same as a tree.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Number(number) => self::number(number).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.to_owned()),
            Self::List(list) => list.iter().map(Self::to_value).collect(),
            Self::Object(object) => Value::Object(object.to_map()),
        }
    }
}

/// Reads a JSON object into a tree, where [`Packed`] reads it.
pub(crate) fn tree(document: &[u8]) -> Option<Map<String, Value>> {
    Some(Packed::read(document)?.object().to_map())
}

/// What stands before a value.
const NULL: u8 = b'0';
const FALSE: u8 = b'f';
const TRUE: u8 = b't';
const NUMBER: u8 = b'n';
const TEXT: u8 = b's';
const LIST: u8 = b'l';
const OBJECT: u8 = b'o';

/// A value whose end is known.
struct Unread<'p> {
    tag: u8,
    body: &'p str,
}

impl<'p> Unread<'p> {
    fn take(rest: &mut &'p str) -> Option<Self> {
        let tag = *take(rest, 1)?.as_bytes().first()?;
        let length = take_length(rest)?;
        let body = take(rest, length)?;
        Some(Self { tag, body })
    }

    fn read(self) -> Option<Claim<'p>> {
        Some(match self.tag {
            NULL => Claim::Null,
            FALSE => Claim::Bool(false),
            TRUE => Claim::Bool(true),
            NUMBER => Claim::Number(self.body),
            TEXT => Claim::Text(self.body),
            LIST => Claim::List(List(self.body)),
            OBJECT => Claim::Object(Object(self.body)),
            _ => return None,
        })
    }
}

fn take_name<'p>(rest: &mut &'p str) -> Option<&'p str> {
    let length = take_length(rest)?;
    take(rest, length)
}

fn take_length(rest: &mut &str) -> Option<usize> {
    let digits = take(rest, 3)?.bytes();
    Some(digits.fold(0, |length, digit| length << 7 | usize::from(digit)))
}

fn take<'p>(rest: &mut &'p str, length: usize) -> Option<&'p str> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// The octets of a length; nothing where it is too long to be written.
fn digits(length: usize) -> Option<[u8; 3]> {
    let digit = |shift: u32| u8::try_from(length >> shift & 0x7f).ok();
    let fits = length >> 21 == 0;
    fits.then_some([digit(14)?, digit(7)?, digit(0)?])
}

/// A number as it was before it was written. `serde_json` reads some fractions as their neighbours.
pub(crate) fn number(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    match text.parse::<i64>() {
        Ok(number) => Some(number.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests;
