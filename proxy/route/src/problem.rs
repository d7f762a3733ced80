//! What is wrong with a set of routes.

use std::fmt;

/// One reason why a table cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route `{name}`: {place}: {message}")]
pub struct Problem {
    /// Position of the route in the list that was given.
    pub index: usize,
    /// Name of the route.
    pub name: String,
    /// Which member of the route is wrong.
    pub place: Place,
    /// What is wrong, for the person who wrote the settings.
    pub message: String,
}

/// The member of a route that a [`Problem`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The route's name.
    Name,
    /// All of `match`.
    Match,
    /// `match.host`
    Host,
    /// `match.path`
    Path,
    /// `match.methods`
    Methods,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Match => "match",
            Self::Host => "match.host",
            Self::Path => "match.path",
            Self::Methods => "match.methods",
        })
    }
}
