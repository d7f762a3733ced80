//! What was decided last for one caller: most callers ask for the same again, and this is found in a fraction of the time
//! that the memory of all decisions takes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::Outcome;

/// The last decisions of a caller, at most one for each slot; a slot belongs to every fourth guard.
#[derive(Debug, Default)]
pub(crate) struct Recent([ArcSwapOption<Entry>; SLOTS]);

#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    outcome: Arc<Outcome>,
}

impl Recent {
    /// The outcome under a key of the guard of that number, which is a part of the key.
    pub(crate) fn get(&self, guard: u64, key: &[u8]) -> Option<Arc<Outcome>> {
        let entry = self.slot(guard)?.load();
        let entry = entry.as_ref().filter(|entry| *entry.key == *key)?;
        Some(Arc::clone(&entry.outcome))
    }

    /// Puts an outcome in the place of the one before it.
    pub(crate) fn put(&self, guard: u64, key: Vec<u8>, outcome: &Arc<Outcome>) {
        if key.len() > LONGEST {
            return;
        }
        if let Some(slot) = self.slot(guard) {
            slot.store(Some(Arc::new(Entry {
                key: key.into(),
                outcome: Arc::clone(outcome),
            })));
        }
    }

    fn slot(&self, guard: u64) -> Option<&ArcSwapOption<Entry>> {
        let slots = SLOTS as u64;
        self.0.get(usize::try_from(guard % slots).ok()?)
    }
}

/// Roughly how many bytes full slots occupy; outcomes are shared.
pub(crate) const WEIGHT: usize = SLOTS * (LONGEST + 128);

const SLOTS: usize = 4;
/// Longer keys, in bytes, are left to the memory of all decisions.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn outcome(detail: &str) -> Arc<Outcome> {
        Arc::new(Outcome::refusal(Code::NoPermit, detail))
    }

    #[test]
    fn each_slot_holds_the_last() {
        let recent = Recent::default();
        let (first, second) = (outcome("first"), outcome("second"));
        recent.put(1, b"a".to_vec(), &first);
        recent.put(2, b"b".to_vec(), &second);
        assert!(Arc::ptr_eq(&recent.get(1, b"a").unwrap(), &first));
        assert!(Arc::ptr_eq(&recent.get(2, b"b").unwrap(), &second));
        assert!(recent.get(1, b"b").is_none());
        recent.put(1 + SLOTS as u64, b"c".to_vec(), &second);
        assert!(recent.get(1, b"a").is_none());
    }

    #[test]
    fn long_keys_are_left_out() {
        let recent = Recent::default();
        let key = vec![0; LONGEST + 1];
        recent.put(1, key.clone(), &outcome("long"));
        assert!(recent.get(1, &key).is_none());
    }
}
