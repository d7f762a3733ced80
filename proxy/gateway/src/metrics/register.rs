//! Registering metrics: each by its name, help and labels, under `portcullis_`.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, Result, core::Collector,
};

/// Registers metrics with a registry; fails where two have one name.
pub(super) struct Register<'r>(pub(super) &'r Registry);

impl Register<'_> {
    /// A counter with labels.
    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec> {
        self.add(IntCounterVec::new(named(name, help), labels)?)
    }

    /// A counter with the label `result`, at zero for each: a rate over what is not there yet would miss the first.
    pub(super) fn outcomes<const N: usize>(
        &self,
        name: &str,
        help: &str,
        results: [&str; N],
    ) -> Result<IntCounterVec> {
        let counters = self.counters(name, help, &["result"])?;
        for result in results {
            counters.with_label_values(&[result]);
        }
        Ok(counters)
    }

    /// A counter.
    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.add(IntCounter::with_opts(named(name, help))?)
    }

    /// A gauge of whole numbers with labels.
    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(named(name, help), labels)?)
    }

    /// A gauge of whole numbers.
    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.add(IntGauge::with_opts(named(name, help))?)
    }

    /// A gauge of seconds with labels.
    pub(super) fn ages(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        self.add(GaugeVec::new(named(name, help), labels)?)
    }

    /// A histogram of what takes microseconds to a second.
    pub(super) fn short(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        self.histograms(name, help, labels, SHORT)
    }

    /// A histogram of what takes milliseconds to ten seconds.
    pub(super) fn long(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        self.histograms(name, help, labels, LONG)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help)
            .namespace("portcullis")
            .buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels)?)
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("portcullis")
}

const SHORT: &[f64] = &[
    0.000_005, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 1.0,
];
const LONG: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
