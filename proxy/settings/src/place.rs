//! Where in the settings something stands: `routes[2].upstream.to`.

use std::fmt;

/// A path from the root of the settings to a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Place(Vec<Segment>);

/// One step of a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list, by the position that was written.
    Index(usize),
}

impl Place {
    /// The member `key` of a mapping here.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// The member of a list here.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    pub(crate) fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// What this is a member of, and its own step; `None` for the root.
    pub(crate) fn split_last(&self) -> Option<(Self, &Segment)> {
        let (last, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), last))
    }

    /// The place itself, what it is a member of, and so on up to the root.
    pub(crate) fn around(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), |place| Some(place.split_last()?.0))
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The place with these steps, the innermost first.
    pub(crate) fn from_inner(mut segments: Vec<Segment>) -> Self {
        segments.reverse();
        Self(segments)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => write!(f, "{key}")?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// `routes` is the place of a member of the root.
impl From<&str> for Place {
    fn from(key: &str) -> Self {
        Self::default().key(key)
    }
}
