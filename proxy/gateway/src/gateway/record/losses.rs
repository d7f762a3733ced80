//! How a log stands: what of it was lost, and whether it is written where it should be.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prometheus::IntCounter;

use crate::status::Degraded;

/// Lines of one log that were lost, and why it is not well; cloning shares both.
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    log: &'static str,
    count: IntCounter,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last lines could not be written.
    failing: AtomicBool,
    /// The file could not be opened anew.
    astray: AtomicBool,
}

impl Losses {
    /// Of the log that the settings name so, counted with this counter.
    pub(crate) fn new(log: &'static str, count: IntCounter) -> Self {
        Self {
            log,
            count,
            state: Arc::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self::new("log.test", IntCounter::new("dropped", "dropped").unwrap())
    }

    /// What is not well with the log.
    pub(crate) fn degraded(&self) -> Option<Degraded> {
        let why = if self.state.failing.load(Ordering::Relaxed) {
            "cannot be written, and what it has to say is lost; the log says why"
        } else if self.state.astray.load(Ordering::Relaxed) {
            "cannot be opened anew, and goes on in the file it had; the log says why"
        } else {
            return None;
        };
        Some(Degraded {
            what: self.log.to_owned(),
            why: why.to_owned(),
        })
    }

    /// Its name in the settings.
    pub(super) fn log(&self) -> &'static str {
        self.log
    }

    /// Counts some.
    pub(super) fn add(&self, lost: u64) {
        self.count.inc_by(lost);
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }

    /// Notes whether the last lines were lost; gives what was noted before.
    pub(super) fn set_failing(&self, failing: bool) -> bool {
        self.state.failing.swap(failing, Ordering::Relaxed)
    }

    /// Notes whether lines go elsewhere than to the file of the settings, since that could not be opened.
    pub(super) fn set_astray(&self, astray: bool) {
        self.state.astray.store(astray, Ordering::Relaxed);
    }
}
