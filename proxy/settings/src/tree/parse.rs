//! YAML to a tree.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    Location, Spanned,
    options::{DuplicateKeyPolicy, MergeKeyPolicy},
};

use super::{Entry, Node, Value};
use crate::{Place, Problem};

/// Reads one YAML document.
///
/// A mapping with a key given twice is a problem; the rest is still read, with the last of the two. `None` where the text
/// is no YAML.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let (root, strict) = match load(text, DuplicateKeyPolicy::Error) {
        Ok(root) => (root, None),
        Err(error) => match load(text, DuplicateKeyPolicy::LastWins) {
            Ok(root) => (root, Some(problem(&error))),
            Err(worse) => return (None, vec![problem(&worse)]),
        },
    };
    let mut growth = Growth {
        text,
        problems: Vec::new(),
    };
    let tree = growth.node(root, &Place::default());
    // Of keys that are numbers, the reader keeps the last to itself.
    let told = growth.problems.is_empty().then_some(strict).flatten();
    growth.problems.extend(told);
    (Some(tree), growth.problems)
}

fn load(
    text: &str,
    duplicate_keys: DuplicateKeyPolicy,
) -> Result<Spanned<Raw>, serde_saphyr::Error> {
    // `yes` and `no` are words, as in YAML 1.2; `<<` would let one place change another unseen. A few lines of aliases of
    // aliases stand for more than memory holds, and a few hundred brackets for more frames than a thread's stack does.
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        reject_unsupported_tags: true,
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPLAYED },
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// Lists and mappings within each other; what settings know needs less than half of it.
const DEEPEST: usize = 24;
/// Events of a YAML reader that aliases may stand for in all: some thousand values.
const MOST_REPLAYED: usize = 10_000;

fn problem(error: &serde_saphyr::Error) -> Problem {
    let line = error.location().map(|location| location.line());
    if let serde_saphyr::Error::DuplicateMappingKey { .. } = error.without_snippet() {
        return Problem {
            place: String::new(),
            line,
            message: "a key is there twice".into(),
        };
    }
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

/// From what was found to a tree, with the keys that are there twice.
struct Growth<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Growth<'_> {
    fn node(&mut self, raw: Spanned<Raw>, place: &Place) -> Node {
        let written = || slice(self.text, &raw.defined).trim().to_owned();
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
                    .enumerate()
                    .map(|(index, item)| (index, self.node(item, &place.index(index))))
                    .collect(),
            ),
            Raw::Map(entries) => Value::Map(self.entries(entries, place)),
        };
        Node {
            line: raw.referenced.line(),
            value,
        }
    }

    /// Each key once, with the last of its values.
    fn entries(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>, place: &Place) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        for (key, value) in raw {
            let place = place.key(&key.value);
            let entry = self.entry(key, value, &place);
            let known = positions.get(&entry.key);
            if let Some(earlier) = known.and_then(|position| entries.get_mut(*position)) {
                self.problems.push(twice(&place, earlier, &entry));
                *earlier = entry;
            } else {
                positions.insert(entry.key.clone(), entries.len());
                entries.push(entry);
            }
        }
        entries
    }

    /// A member is looked for at its key's line: its value may start further down.
    fn entry(&mut self, key: Spanned<String>, value: Spanned<Raw>, place: &Place) -> Entry {
        let node = Node {
            line: key.referenced.line(),
            ..self.node(value, place)
        };
        Entry {
            key: key.value,
            node,
        }
    }
}

fn twice(place: &Place, earlier: &Entry, later: &Entry) -> Problem {
    Problem {
        place: place.to_string(),
        line: Some(later.node.line),
        message: format!(
            "`{}` is there twice, first in line {}; take one out",
            later.key, earlier.node.line
        ),
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
