//! The tree of path templates under one host pattern.

use std::collections::BTreeMap;

use crate::template::Segment;

/// A place in the tree: the segments on the way to it are taken already.
///
/// INVARIANT: a search visits each node at most once, because its depth fixes which segments are left; so a lookup costs at
/// most the size of the tree, whatever the path.
#[derive(Debug)]
pub(crate) struct Node<L> {
    literals: BTreeMap<Box<str>, Node<L>>,
    param: Option<Box<Node<L>>>,
    /// What takes all that is left.
    tail: Option<L>,
    /// What takes a path that ends here.
    end: Option<L>,
}

impl<L> Default for Node<L> {
    fn default() -> Self {
        Self {
            literals: BTreeMap::new(),
            param: None,
            tail: None,
            end: None,
        }
    }
}

impl<L: Default> Node<L> {
    /// The leaf of a template, made if it is not there.
    pub(crate) fn leaf(&mut self, segments: &[Segment]) -> &mut L {
        let Some((first, rest)) = segments.split_first() else {
            return self.end.get_or_insert_default();
        };
        match first {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default().leaf(rest),
            Segment::Param(_) => self.param.get_or_insert_default().leaf(rest),
            Segment::Tail(_) => self.tail.get_or_insert_default(),
        }
    }
}

impl<L> Node<L> {
    /// The leaf that takes a path (without its leading slash) most specifically.
    pub(crate) fn find(&self, rest: Option<&str>) -> Option<&L> {
        let Some(rest) = rest else {
            return self.end.as_ref();
        };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        let literal = self.literals.get(segment).and_then(|node| node.find(after));
        let param = || {
            self.param
                .as_ref()
                .filter(|_| !segment.is_empty())
                .and_then(|node| node.find(after))
        };
        literal.or_else(param).or(self.tail.as_ref())
    }

    /// Gives `report` each tail that nothing can reach, because what is more specific takes all of its paths.
    pub(crate) fn unreachable_tails<'n>(&'n self, report: &mut impl FnMut(&'n L)) {
        if let Some(tail) = &self.tail
            && self.covered()
        {
            report(tail);
        }
        let below = self.literals.values().chain(self.param.as_deref());
        below.for_each(|node| node.unreachable_tails(report));
    }

    /// Whether every path of one or more segments from here is taken without the tail: empty first segments by the literal,
    /// all others by the parameter.
    fn covered(&self) -> bool {
        let takes_all =
            |node: &Node<L>| node.end.is_some() && (node.tail.is_some() || node.covered());
        self.literals.get("").is_some_and(takes_all) && self.param.as_deref().is_some_and(takes_all)
    }
}
