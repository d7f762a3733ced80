//! Sets of attribute paths.

use std::collections::BTreeSet;

/// Paths of attributes from a common root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Paths(BTreeSet<Path>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Path {
    /// None of them: the root itself.
    attributes: Vec<String>,
    /// Whether the value at the end is mentioned, or only that it is there.
    whole: bool,
}

impl Paths {
    pub(super) fn insert(&mut self, attributes: Vec<String>, whole: bool) {
        self.0.insert(Path { attributes, whole });
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Whether the attribute on this path is mentioned, or something in it, or all of something that it is in.
    pub(crate) fn touch(&self, path: &[&str]) -> bool {
        self.0.iter().any(|mentioned| {
            let common = mentioned.attributes.iter().zip(path).all(|(a, b)| a == b);
            common && (mentioned.whole || mentioned.attributes.len() >= path.len())
        })
    }

    /// What is mentioned within one attribute of the root.
    pub(crate) fn within(&self, name: &str) -> Self {
        let inner = self
            .0
            .iter()
            .filter_map(|path| match path.attributes.split_first() {
                None => Some(path.clone()),
                Some((first, rest)) if first == name && (path.whole || !rest.is_empty()) => {
                    Some(Path {
                        attributes: rest.to_vec(),
                        whole: path.whole,
                    })
                }
                Some(_) => None,
            });
        Self(inner.collect())
    }
}
