//! The settings as they are written: a tree in which each node knows its line, before it has any type.
//!
//! YAML is read once into this, and types are read from this, so that a mistake in one member leaves the others to be
//! looked at.

mod fault;
mod parse;
mod read;

use crate::place::{Place, Segment};

pub(crate) use fault::{Fault, Kind as FaultKind};
pub(crate) use parse::parse;
pub(crate) use read::{ATTEMPT_COUNT, read};

/// A value and its line.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) value: Value,
}

/// What stands at a node.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    /// With the text it was written as, for where text is wanted.
    Bool(bool, String),
    Unsigned(u64, String),
    Signed(i64, String),
    Float(f64, String),
    Text(String),
    /// Each item with the position it was written at, which stays when others are taken out.
    List(Vec<(usize, Node)>),
    Map(Vec<Entry>),
    /// Stands for what is missing or wrong and has been reported: passes as some value of most types. Which text it
    /// passes as is counted.
    Placeholder(usize),
}

/// A member of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) node: Node,
}

impl Node {
    /// The node at `place`.
    pub(crate) fn at(&self, place: &Place) -> Option<&Self> {
        place.segments().iter().try_fold(self, Self::member)
    }

    /// The line of `place`, or of the innermost node around it that is written.
    pub(crate) fn line_of(&self, place: &Place) -> Option<u64> {
        let mut node = self;
        for segment in place.segments() {
            match node.member(segment) {
                Some(member) => node = member,
                None => break,
            }
        }
        Some(node.line).filter(|line| *line > 0)
    }

    /// The tree without what is written at its leaves: places and lines, and nothing secret.
    pub(crate) fn outline(&self) -> Self {
        let value = match &self.value {
            Value::List(items) => {
                let items = items.iter();
                Value::List(items.map(|(at, node)| (*at, node.outline())).collect())
            }
            Value::Map(entries) => {
                let outlined = |entry: &Entry| Entry {
                    key: entry.key.clone(),
                    node: entry.node.outline(),
                };
                Value::Map(entries.iter().map(outlined).collect())
            }
            _ => Value::Null,
        };
        Self {
            line: self.line,
            value,
        }
    }

    /// The keys of the mapping called `key` in the root.
    pub(crate) fn keys_of(&self, key: &str) -> Vec<String> {
        match self.at(&key.into()).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The positions at which the items of the list at `place` were written.
    pub(crate) fn positions(&self, place: &Place) -> Vec<usize> {
        match self.at(place).map(|node| &node.value) {
            Some(Value::List(items)) => items.iter().map(|(position, _)| *position).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes the node at `place` out of what holds it; `false` where there is none.
    pub(crate) fn remove(&mut self, place: &Place) -> bool {
        let Some((parent, last)) = place.split_last() else {
            return false;
        };
        match (self.at_mut(&parent).map(|node| &mut node.value), last) {
            (Some(Value::Map(entries)), Segment::Key(key)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            (Some(Value::List(items)), Segment::Index(index)) => {
                let before = items.len();
                items.retain(|(position, _)| position != index);
                items.len() < before
            }
            _ => false,
        }
    }

    /// Puts a placeholder at `place`, a member of a mapping; last, so that its siblings are read first.
    pub(crate) fn hold(&mut self, place: &Place) -> bool {
        let Some((parent, Segment::Key(key))) = place.split_last() else {
            return false;
        };
        self.remove(place);
        let Some(Self {
            line,
            value: Value::Map(entries),
        }) = self.at_mut(&parent)
        else {
            return false;
        };
        entries.push(Entry {
            key: key.clone(),
            node: Self {
                line: *line,
                value: Value::Placeholder(0),
            },
        });
        true
    }

    /// Lets the placeholder at `place` pass as its next text; `false` where it has been all, or is none.
    pub(crate) fn attempt(&mut self, place: &Place) -> bool {
        match self.at_mut(place).map(|node| &mut node.value) {
            Some(Value::Placeholder(attempt)) => {
                *attempt += 1;
                *attempt < ATTEMPT_COUNT
            }
            _ => false,
        }
    }

    /// The placeholder at `place` or around it.
    pub(crate) fn placeholder_around(&self, place: &Place) -> Option<Place> {
        place.around().find(|place| {
            matches!(
                self.at(place),
                Some(Self {
                    value: Value::Placeholder(_),
                    ..
                })
            )
        })
    }

    fn member(&self, segment: &Segment) -> Option<&Self> {
        match (&self.value, segment) {
            (Value::Map(entries), Segment::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| &entry.node),
            (Value::List(items), Segment::Index(index)) => items
                .iter()
                .find(|(position, _)| position == index)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    fn at_mut(&mut self, place: &Place) -> Option<&mut Self> {
        place
            .segments()
            .iter()
            .try_fold(self, |node, segment| match (&mut node.value, segment) {
                (Value::Map(entries), Segment::Key(key)) => entries
                    .iter_mut()
                    .find(|entry| entry.key == *key)
                    .map(|entry| &mut entry.node),
                (Value::List(items), Segment::Index(index)) => items
                    .iter_mut()
                    .find(|(position, _)| position == index)
                    .map(|(_, node)| node),
                _ => None,
            })
    }
}
