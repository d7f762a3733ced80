//! Records kept in memory between calls, forgotten when they change here or elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Values by id. A value that was read before an invalidation and arrives after it is not kept.
pub(crate) struct Cache<T> {
    state: RwLock<State<T>>,
}

struct State<T> {
    values: HashMap<String, Arc<T>>,
    /// Counts invalidations.
    epoch: u64,
}

/// The state of the cache before a value was read from the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(u64);

impl<T> Cache<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: RwLock::new(State {
                values: HashMap::new(),
                epoch: 0,
            }),
        }
    }

    /// The value, or the epoch to hand back with it once it is read.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<T>, Epoch> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state
            .values
            .get(id)
            .map(Arc::clone)
            .ok_or(Epoch(state.epoch))
    }

    /// Keeps a value that was read in `epoch`, unless something was forgotten since.
    pub(crate) fn keep(&self, epoch: Epoch, id: &str, value: &Arc<T>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.epoch != epoch.0 {
            return;
        }
        if state.values.len() >= CAPACITY {
            // Rare, and cheaper than keeping an order on every read.
            state.values.clear();
        }
        state.values.insert(id.to_owned(), Arc::clone(value));
    }

    /// Forgets one value.
    pub(crate) fn forget(&self, id: &str) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.epoch += 1;
        state.values.remove(id);
    }

    /// Forgets the values that `which` names.
    pub(crate) fn forget_where(&self, which: impl Fn(&T) -> bool) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.epoch += 1;
        state.values.retain(|_, value| !which(value));
    }
}

/// Pools or clients kept at once; one is a few kilobytes.
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_read_before_an_invalidation_is_not_kept() {
        let cache = Cache::new();
        let epoch = cache.find("a").unwrap_err();
        cache.forget("b");
        cache.keep(epoch, "a", &Arc::new(1));
        let epoch = cache.find("a").unwrap_err();
        cache.keep(epoch, "a", &Arc::new(2));
        assert_eq!(*cache.find("a").unwrap(), 2);
    }

    #[test]
    fn forgetting_takes_only_what_is_named() {
        let cache = Cache::new();
        for (id, value) in [("a", 1), ("b", 2)] {
            let epoch = cache.find(id).unwrap_err();
            cache.keep(epoch, id, &Arc::new(value));
        }
        cache.forget_where(|value| *value == 1);
        assert!(cache.find("a").is_err());
        assert!(cache.find("b").is_ok());
    }
}
