//! Where the settings are written, for those who find problems after they were read.

use crate::{Place, Problem, tree::Node};

/// The line of every place.
#[derive(Debug, Clone)]
pub struct Lines(Node);

impl Lines {
    pub(crate) fn of(tree: &Node) -> Self {
        Self(tree.outline())
    }

    /// A problem at `place`, with the line of what is written there or around it.
    pub fn problem(&self, place: &Place, message: impl Into<String>) -> Problem {
        Problem {
            place: place.to_string(),
            line: self.0.line_of(place),
            message: message.into(),
        }
    }
}
