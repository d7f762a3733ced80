//! What a request must look like: the types of the generated tables.

mod pattern;

pub use pattern::Pattern;

/// One shape of a model.
#[derive(Debug)]
pub struct Shape {
    /// What it is, with its limits.
    pub kind: Kind,
    /// Whether a message may not show a value of it.
    pub sensitive: bool,
}

/// The types of the models.
#[derive(Debug)]
pub enum Kind {
    /// A string; `values` is its closed set, if it has one.
    Text {
        /// Fewest characters.
        min: Option<i64>,
        /// Most characters.
        max: Option<i64>,
        /// What the whole text must match.
        pattern: Option<&'static Pattern>,
        /// The only texts allowed, if not empty.
        values: &'static [&'static str],
    },
    /// A whole number.
    Integer {
        /// Smallest value.
        min: Option<i64>,
        /// Largest value.
        max: Option<i64>,
    },
    /// `true` or `false`.
    Boolean,
    /// A time, as a number of seconds or as ISO 8601 text.
    Timestamp,
    /// Bytes in base64.
    Blob {
        /// Fewest bytes.
        min: Option<i64>,
        /// Most bytes.
        max: Option<i64>,
    },
    /// Any JSON.
    Document,
    /// A list.
    List {
        /// Fewest items.
        min: Option<i64>,
        /// Most items.
        max: Option<i64>,
        /// Each item.
        item: &'static Shape,
    },
    /// A map from text.
    Map {
        /// Fewest entries.
        min: Option<i64>,
        /// Most entries.
        max: Option<i64>,
        /// Each key.
        key: &'static Shape,
        /// Each value.
        value: &'static Shape,
    },
    /// A structure; of a union exactly one member is set.
    Structure {
        /// Whether it is a union.
        union: bool,
        /// Its members, in the model's order.
        members: &'static [Member],
    },
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Where it stands in a REST request.
    pub location: Location,
    /// What it must look like.
    pub shape: &'static Shape,
}

/// Where a member stands in a REST request; elsewhere always in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the body.
    Body,
    /// In the path, for this placeholder.
    Uri(&'static str),
    /// In the query, under this name.
    Query(&'static str),
    /// In this header.
    Header(&'static str),
}
