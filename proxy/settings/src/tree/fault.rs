//! Why a type cannot be read from a tree, and where.

use std::fmt::{self, Display};

use serde::de::{Error, Expected, Unexpected};

use crate::place::{Place, Segment};

/// Why a type cannot be read.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The innermost step first.
    path: Vec<Segment>,
    pub(crate) kind: Kind,
}

/// What kind of fault it is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The mapping has a key that means nothing.
    Unknown {
        key: String,
        expected: &'static [&'static str],
    },
    /// The mapping lacks a key.
    Missing(&'static str),
    /// Anything else. INVARIANT: never holds a value that may be a secret in the wrong place; only types that know better
    /// quote theirs.
    Other(String),
}

impl Fault {
    pub(crate) fn place(&self) -> Place {
        Place::from_inner(self.path.clone())
    }

    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self {
            path: Vec::new(),
            kind,
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Kind::Other(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Kind::Other(format!(
            "expected {}, found {}",
            plain(expected),
            kind_of(found)
        ))
        .into()
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Kind::Other(format!("is not accepted here: {}", plain(expected))).into()
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Kind::Other(format!("expected {}", one_of(expected))).into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Kind::Unknown {
            key: field.to_owned(),
            expected,
        }
        .into()
    }

    fn missing_field(field: &'static str) -> Self {
        Kind::Missing(field).into()
    }
}

/// What a type expects, without its Rust name.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let word = text.strip_prefix("a ").unwrap_or(&text).split(' ').next();
    match word {
        Some("struct" | "map") => "a mapping".into(),
        Some("sequence" | "seq") => "a list".into(),
        Some("enum" | "variant") => "one of its words, or a mapping with one key".into(),
        Some("u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64") => {
            "a whole number".into()
        }
        _ => text,
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "`true` or `false`",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "nothing",
    }
}

pub(super) fn one_of(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(" or ")
}
