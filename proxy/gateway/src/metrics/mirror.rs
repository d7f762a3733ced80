//! What is counted elsewhere, of things that come and go, shown as metrics.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    IntCounter, IntCounterVec,
    core::{Collector as _, MetricVec, MetricVecBuilder},
};

/// Counters of what somebody else counts; cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct Mirror<const N: usize> {
    counters: IntCounterVec,
    labels: [&'static str; N],
    /// Two who look at once would each add what is new.
    looking: Arc<Mutex<()>>,
}

impl<const N: usize> Mirror<N> {
    /// Shows counts in these counters, which have these labels.
    pub(super) fn new(counters: IntCounterVec, labels: [&'static str; N]) -> Self {
        Self {
            counters,
            labels,
            looking: Arc::default(),
        }
    }

    /// Shows these counts, and none of what is not among them any more.
    pub(super) fn show(&self, counts: &[([&str; N], u64)]) {
        // Nothing panics in between, and a count is put right the next time.
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        for (values, count) in counts {
            follow(&self.counters.with_label_values(values), *count);
        }
        keep(&self.counters, self.labels, |shown| {
            counts.iter().any(|(values, _)| values == shown)
        });
    }
}

/// Brings a counter to a count that is kept elsewhere. One that begins anew is shown so: whoever reads counters takes a
/// smaller one for that.
fn follow(counter: &IntCounter, count: u64) {
    if count < counter.get() {
        counter.reset();
    }
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// Shows no others than these.
pub(super) fn keep<T: MetricVecBuilder, const N: usize>(
    metrics: &MetricVec<T>,
    labels: [&str; N],
    is_there: impl Fn(&[&str; N]) -> bool,
) {
    for family in metrics.collect() {
        for metric in family.get_metric() {
            let value = |name: &str| {
                let pair = metric.get_label().iter().find(|pair| pair.name() == name);
                pair.map_or("", |pair| pair.value())
            };
            let shown = labels.map(value);
            if !is_there(&shown) {
                // It is there, or somebody else took it out.
                let _ = metrics.remove_label_values(&shown);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use prometheus::Opts;

    use super::*;

    fn mirror() -> Mirror<2> {
        let labels = ["pool", "client"];
        let counters = IntCounterVec::new(Opts::new("counted", "help"), &labels).unwrap();
        Mirror::new(counters, labels)
    }

    fn count(mirror: &Mirror<2>, values: [&str; 2]) -> u64 {
        mirror.counters.with_label_values(&values).get()
    }

    #[test]
    fn what_is_gone_is_shown_no_more() {
        let mirror = mirror();
        mirror.show(&[(["p", "a"], 1), (["p", "b"], 2)]);
        mirror.show(&[(["p", "b"], 3)]);
        let families = mirror.counters.collect();
        assert_eq!(families[0].get_metric().len(), 1);
        assert_eq!(count(&mirror, ["p", "b"]), 3);
    }

    #[test]
    fn a_count_that_begins_anew_is_shown_so() {
        let mirror = mirror();
        for counted in [5, 7, 2, 3] {
            mirror.show(&[(["p", "a"], counted)]);
            assert_eq!(count(&mirror, ["p", "a"]), counted);
        }
    }

    #[test]
    fn who_looks_waits_for_another() {
        let mirror = mirror();
        let looking = mirror.looking.lock().unwrap();
        thread::scope(|scope| {
            let other = scope.spawn(|| mirror.show(&[(["p", "a"], 1)]));
            thread::sleep(Duration::from_millis(50));
            assert!(!other.is_finished());
            drop(looking);
        });
        assert_eq!(count(&mirror, ["p", "a"]), 1);
    }
}
