//! Decisions: how many were remembered, and how many could not be made, which is told in the log as well.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use decision::{Code, Decided, Memory};
use prometheus::{IntCounter, Result};

use super::register::Register;

/// Counters of decisions; cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Decisions {
    hit: IntCounter,
    miss: IntCounter,
    bypass: IntCounter,
    failures: Arc<[Failures]>,
}

/// Decisions that came to a denial since something could not be evaluated, of one kind.
#[derive(Debug)]
struct Failures {
    code: Code,
    count: IntCounter,
    told: Seldom,
}

impl Decisions {
    pub(super) fn new(register: &Register<'_>) -> Result<Self> {
        let cache = register.counters(
            "decision_cache_total",
            "Decisions, by what their memory had to do with them.",
            &["result"],
        )?;
        let failures = register.counters(
            "decision_failures_total",
            "Decisions in which something could not be evaluated.",
            &["code"],
        )?;
        let failures = FAILURES.map(|code| Failures {
            code,
            count: failures.with_label_values(&[code.as_str()]),
            told: Seldom::default(),
        });
        Ok(Self {
            hit: cache.with_label_values(&["hit"]),
            miss: cache.with_label_values(&["miss"]),
            bypass: cache.with_label_values(&["bypass"]),
            failures: failures.into(),
        })
    }

    /// Counts what policies decided about a request of a route, and tells what could not be evaluated.
    pub(crate) fn count(&self, route: &str, request_id: &str, decided: &Decided) {
        match decided.memory() {
            Memory::Hit => self.hit.inc(),
            Memory::Miss => self.miss.inc(),
            Memory::Bypass => self.bypass.inc(),
        }
        let outcome = decided.outcome();
        let failed = outcome.errors().first();
        // A `permit` that failed beside others is worth mending too.
        let code = failed.map_or(outcome.code(), |_| Code::PolicyError);
        if let Some(failures) = self.of(code)
            && failures.count()
        {
            tracing::warn!(
                route,
                request_id,
                code = code.as_str(),
                outcome = outcome.code().as_str(),
                action = decided.action(),
                policy = failed.map(|error| &*error.policy),
                why = outcome.detail(),
                "A decision could not be evaluated"
            );
        }
    }

    /// Counts a denial for which no policy could be asked.
    pub(crate) fn unasked(&self, route: &str, request_id: &str, code: &str) {
        let failures = self
            .failures
            .iter()
            .find(|failures| failures.code.as_str() == code);
        if failures.is_some_and(Failures::count) {
            tracing::warn!(route, request_id, code, "A decision could not be asked for");
        }
    }

    fn of(&self, code: Code) -> Option<&Failures> {
        self.failures.iter().find(|failures| failures.code == code)
    }
}

impl Failures {
    /// Counts one; says whether it is time to tell.
    fn count(&self) -> bool {
        self.count.inc();
        self.told.is_due(Instant::now())
    }
}

/// Keeps what callers can cause from filling the log.
#[derive(Debug)]
struct Seldom {
    start: Instant,
    /// When it may be told again, in milliseconds from the start.
    due: AtomicU64,
}

impl Default for Seldom {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            due: AtomicU64::new(0),
        }
    }
}

impl Seldom {
    fn is_due(&self, now: Instant) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(now.saturating_duration_since(self.start));
        let due = self.due.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(BETWEEN));
        now >= due
            && self
                .due
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The codes of denials that are no policy's will.
const FAILURES: [Code; 5] = [
    Code::PolicyError,
    Code::NoPolicies,
    Code::ClaimsInvalid,
    Code::InputMissing,
    Code::InputAmbiguous,
];

/// Between two lines about one code.
const BETWEEN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_once_in_a_while() {
        let seldom = Seldom::default();
        let at = |seconds| seldom.start + Duration::from_secs(seconds);
        assert!(seldom.is_due(at(0)));
        assert!(!seldom.is_due(at(9)));
        assert!(seldom.is_due(at(10)));
        assert!(!seldom.is_due(at(11)));
    }
}
