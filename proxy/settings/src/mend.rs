//! Reading a type from a tree with mistakes in it: each is reported once and taken out, until the rest can be read.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use crate::{
    place::Place,
    tree::{self, Fault, FaultKind, Node, Value},
};

/// Reads `T` from what is right of `tree`, and tells each mistake to `report`.
///
/// `tree` is left with what was right, and with placeholders where something else had to stand: values there mean nothing,
/// and [`crate::check::Check::report`] keeps silent about them. `None` where nothing can be read.
pub(crate) fn read_all<T: DeserializeOwned>(
    tree: &mut Node,
    report: &mut dyn FnMut(&Place, String),
) -> Option<T> {
    let mut mending = Mending {
        tree,
        told: HashSet::new(),
        dropped: HashSet::new(),
        report,
    };
    loop {
        match tree::read::<T>(mending.tree) {
            Ok(value) => return Some(value),
            Err(fault) => mending.mend(&fault)?,
        }
    }
}

/// Each step takes something out, or puts a placeholder where none was and none was dropped: so there is an end.
struct Mending<'m> {
    tree: &'m mut Node,
    /// What has been reported.
    told: HashSet<Place>,
    /// Where a placeholder did not pass.
    dropped: HashSet<Place>,
    report: &'m mut dyn FnMut(&Place, String),
}

impl Mending<'_> {
    /// Takes one mistake out. `None` where that leaves nothing.
    fn mend(&mut self, fault: &Fault) -> Option<()> {
        let place = fault.place();
        if let Some(placeholder) = self.tree.placeholder_around(&place) {
            return if self.tree.attempt(&placeholder) {
                Some(())
            } else {
                self.drop_placeholder(&placeholder)
            };
        }
        match &fault.kind {
            FaultKind::Unknown { key, expected } => {
                let unknown = place.key(key);
                (self.report)(&unknown, unknown_key(key, expected));
                // Not there only if the type and the tree disagree about what a key is.
                self.tree.remove(&unknown).then_some(())
            }
            FaultKind::Missing(key) => self.mend_missing(&place, key),
            FaultKind::Other(message) => {
                if self.told.insert(place.clone()) {
                    let message = self.without_value(&place, message);
                    (self.report)(&place, message);
                }
                (self.tree.hold(&place) || self.tree.remove(&place)).then_some(())
            }
        }
    }

    fn mend_missing(&mut self, holder: &Place, key: &str) -> Option<()> {
        let missing = holder.key(key);
        if self.dropped.contains(&missing) {
            self.told.insert(holder.clone());
            return self.tree.remove(holder).then_some(());
        }
        if self.told.insert(missing.clone()) {
            (self.report)(holder, format!("`{key}` is missing"));
        }
        self.tree.hold(&missing).then_some(())
    }

    /// Takes the placeholder at `place` out; where its holder cannot be without it, the next fault takes out that.
    fn drop_placeholder(&mut self, place: &Place) -> Option<()> {
        self.dropped.insert(place.clone());
        self.tree.remove(place).then_some(())
    }

    /// A message of another crate without the value it may quote, which may be a secret in the wrong place.
    fn without_value(&self, place: &Place, message: &str) -> String {
        match self.tree.at(place).map(|node| &node.value) {
            Some(Value::Text(text)) => message
                .replace(&format!(": {text:?}"), "")
                .replace(&format!("{text:?}"), "it"),
            _ => message.to_owned(),
        }
    }
}

fn unknown_key(key: &str, expected: &[&str]) -> String {
    let near = expected
        .iter()
        .map(|word| (distance(key, word), *word))
        .min()
        .filter(|(far, _)| *far <= 2);
    match near {
        Some((_, word)) => format!("unknown key; did you mean `{word}`?"),
        None => format!("unknown key; known here: {}", expected.join(", ")),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(from != to))
                .min(above + 1)
                .min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("upstream", "uptsream"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("routes", "route"), 1);
    }
}
