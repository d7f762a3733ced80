//! YAML to a tree.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    Location, Spanned,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

use super::{Entry, Node, Value};
use crate::Problem;

/// Reads one YAML document.
///
/// A mapping with a key given twice is a problem; the rest is still read, with the last of the two. `None` where the text
/// is no YAML.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let strict = match load(text, DuplicateKeyPolicy::Error) {
        Ok(node) => return (Some(node), Vec::new()),
        Err(error) => error,
    };
    (
        load(text, DuplicateKeyPolicy::LastWins).ok(),
        vec![problem(&strict)],
    )
}

fn load(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, serde_saphyr::Error> {
    // `yes` and `no` are words, as in YAML 1.2; `<<` would let one place change another unseen.
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        reject_unsupported_tags: true,
    };
    let root: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options)?;
    Ok(node(root, text))
}

fn problem(error: &serde_saphyr::Error) -> Problem {
    let line = error.location().map(|location| location.line());
    // The message names line and column again, and spans several lines.
    let message = error.without_snippet().to_string();
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    Problem {
        place: String::new(),
        line,
        message: format!("not readable as YAML: {message}"),
    }
}

/// What serde-saphyr finds, before texts are attached.
enum Raw {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let written = || slice(text, &raw.defined).trim().to_owned();
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(flag) => Value::Bool(flag, written()),
        Raw::Unsigned(number) => Value::Unsigned(number, written()),
        Raw::Signed(number) => Value::Signed(number, written()),
        Raw::Float(number) => Value::Float(number, written()),
        Raw::Text(value) => Value::Text(value),
        Raw::List(items) => Value::List(
            items
                .into_iter()
                .map(|item| node(item, text))
                .enumerate()
                .collect(),
        ),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| entry(key, value, text))
                .collect(),
        ),
    };
    Node {
        line: raw.referenced.line(),
        value,
    }
}

/// A member is looked for at its key's line: its value may start further down.
fn entry(key: Spanned<String>, value: Spanned<Raw>, text: &str) -> Entry {
    let node = Node {
        line: key.referenced.line(),
        ..node(value, text)
    };
    Entry {
        key: key.value,
        node,
    }
}

fn slice<'t>(text: &'t str, location: &Location) -> &'t str {
    let span = location.span();
    let range = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        text.get(start..start.checked_add(usize::try_from(span.byte_len()?).ok()?)?)
    };
    range().unwrap_or_default()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(u64::try_from(value).map_or(Raw::Signed(value), Raw::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
