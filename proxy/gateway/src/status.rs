//! How the process stands: what `/readyz` says.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;

/// Shared by all that can be unwell.
#[derive(Debug, Default)]
pub(crate) struct Status {
    draining: AtomicBool,
    handed_over: AtomicBool,
    degraded: Mutex<BTreeMap<String, String>>,
}

/// One thing that is not well, while requests are served all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Degraded {
    /// As `policies.pets`.
    pub(crate) what: String,
    /// For the operator; holds no secrets.
    pub(crate) why: String,
}

impl From<settings::Problem> for Degraded {
    fn from(problem: settings::Problem) -> Self {
        let message = problem.message;
        Self {
            what: problem.place,
            why: match problem.line {
                Some(line) => format!("line {line}: {message}"),
                None => message,
            },
        }
    }
}

impl Status {
    /// From now on nothing new is taken on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// From now on another process takes callers on.
    pub(crate) fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Relaxed);
    }

    /// Whether connections are to end once they have been used.
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_draining() || self.handed_over.load(Ordering::Relaxed)
    }

    /// Whether the process is on its way out.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Replaces what a reload found not to be well.
    pub(crate) fn set_degraded(&self, degraded: Vec<Degraded>) {
        let entries = degraded.into_iter().map(|entry| (entry.what, entry.why));
        let mut merged: BTreeMap<String, String> = BTreeMap::new();
        for (what, why) in entries {
            merged
                .entry(what)
                .and_modify(|all| {
                    all.push_str("; ");
                    all.push_str(&why);
                })
                .or_insert(why);
        }
        *self.lock() = merged;
    }

    /// What is not well.
    pub(crate) fn degraded(&self) -> Vec<Degraded> {
        let entry = |(what, why): (&String, &String)| Degraded {
            what: what.clone(),
            why: why.clone(),
        };
        self.lock().iter().map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn degraded(what: &str, why: &str) -> Degraded {
        Degraded {
            what: what.into(),
            why: why.into(),
        }
    }

    #[test]
    fn what_is_well_again_is_not_named() {
        let status = Status::default();
        status.set_degraded(vec![
            degraded("policies.pets", "a.cedar:1: one"),
            degraded("policies.pets", "a.cedar:2: two"),
        ]);
        assert_eq!(
            status.degraded(),
            [degraded("policies.pets", "a.cedar:1: one; a.cedar:2: two")]
        );
        status.set_degraded(Vec::new());
        assert_eq!(status.degraded(), []);
    }
}
