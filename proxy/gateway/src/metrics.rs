//! Metrics: everything `/metrics` shows. Label values come from the settings or closed sets, never from callers.

use std::{sync::Arc, time::Duration};

use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// How a request ended, as its record and the counter of requests say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Permitted, and forwarded or served.
    Allow,
    /// Not identified or not permitted.
    Deny,
    /// Not admitted, or no route takes it.
    Refuse,
    /// The upstream or the gate failed.
    Error,
    /// The caller left before there was an answer.
    Abort,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Allow,
        Self::Deny,
        Self::Refuse,
        Self::Error,
        Self::Abort,
    ];

    /// Its name in records and labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Refuse => "refuse",
            Self::Error => "error",
            Self::Abort => "abort",
        }
    }
}

/// All metrics of the process; cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    upstream_connections: IntCounterVec,
    pub(crate) stages: Stages,
    pub(crate) token_cache: Cache,
    pub(crate) decision_cache: Cache,
    pub(crate) key_set_age: GaugeVec,
    key_set_fetches: IntCounterVec,
    sign_ins: IntCounterVec,
    hash_queue: IntGauge,
    store_seconds: HistogramVec,
    pub(crate) generation: IntGauge,
    pub(crate) reloads: IntCounterVec,
    pub(crate) upstream_healthy: IntGaugeVec,
    pub(crate) records_dropped: IntCounter,
    api_calls: IntCounterVec,
}

/// Time spent in each stage of the path.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    pub(crate) admit: Histogram,
    pub(crate) identify: Histogram,
    pub(crate) decide: Histogram,
    pub(crate) serve: Histogram,
}

/// Hits and misses of a cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    hit: IntCounter,
    miss: IntCounter,
}

impl Cache {
    /// Counts one lookup.
    pub(crate) fn count(&self, hit: bool) {
        if hit {
            self.hit.inc();
        } else {
            self.miss.inc();
        }
    }

    fn of(counter: &IntCounterVec) -> Self {
        Self {
            hit: counter.with_label_values(&["hit"]),
            miss: counter.with_label_values(&["miss"]),
        }
    }
}

/// The metrics of one route, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct RouteMetrics {
    outcomes: [IntCounter; Outcome::ALL.len()],
    seconds: Histogram,
}

impl RouteMetrics {
    /// Counts one request.
    pub(crate) fn count(&self, outcome: Outcome, took: Duration) {
        for (at, counter) in Outcome::ALL.iter().zip(&self.outcomes) {
            if *at == outcome {
                counter.inc();
            }
        }
        self.seconds.observe(took.as_secs_f64());
    }
}

impl Metrics {
    /// Registers everything; fails only where two metrics have one name.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let stages = seconds(
            r,
            "stage_seconds",
            "Time in a stage of the path.",
            &["stage"],
            FAST,
        )?;
        let cache = |name, help| counter(r, name, help, &["result"]);
        Ok(Self {
            requests: counter(
                r,
                "requests_total",
                "Requests by route and outcome.",
                &["route", "outcome"],
            )?,
            request_seconds: seconds(
                r,
                "request_seconds",
                "Time from head to last byte.",
                &["route"],
                SLOW,
            )?,
            upstream_connections: counter(
                r,
                "upstream_connections",
                "Connections made to an upstream.",
                &["upstream"],
            )?,
            stages: Stages {
                admit: stages.with_label_values(&["admit"]),
                identify: stages.with_label_values(&["identify"]),
                decide: stages.with_label_values(&["decide"]),
                serve: stages.with_label_values(&["serve"]),
            },
            token_cache: Cache::of(&cache("token_cache_total", "Lookups of verified tokens.")?),
            decision_cache: Cache::of(&cache(
                "decision_cache_total",
                "Lookups of remembered decisions.",
            )?),
            key_set_age: registered(
                r,
                GaugeVec::new(
                    named("key_set_age_seconds", "Age of an issuer's key set."),
                    &["issuer"],
                )?,
            )?,
            key_set_fetches: counter(
                r,
                "key_set_fetches_total",
                "Fetches of an issuer's key set.",
                &["issuer", "result"],
            )?,
            sign_ins: counter(
                r,
                "sign_ins_total",
                "Steps of sign-ins by how they ended.",
                &["pool", "client", "result"],
            )?,
            hash_queue: registered(
                r,
                IntGauge::with_opts(named("hash_queue", "Passwords that wait or are hashed."))?,
            )?,
            store_seconds: seconds(
                r,
                "store_seconds",
                "Time of a step of the store.",
                &["kind"],
                SLOW,
            )?,
            generation: registered(
                r,
                IntGauge::with_opts(named(
                    "generation",
                    "Generation of the settings and policies in force.",
                ))?,
            )?,
            reloads: from_zero(
                counter(r, "reloads_total", "Reloads by result.", &["result"])?,
                &["success", "failure"],
            ),
            upstream_healthy: registered(
                r,
                IntGaugeVec::new(
                    named(
                        "upstream_healthy",
                        "Whether a server answers its health check.",
                    ),
                    &["upstream", "server"],
                )?,
            )?,
            records_dropped: registered(
                r,
                IntCounter::with_opts(named(
                    "records_dropped_total",
                    "Decision records lost because the writer fell behind.",
                ))?,
            )?,
            api_calls: counter(
                r,
                "api_calls_total",
                "Calls of the pools' API.",
                &["operation", "result"],
            )?,
            registry,
        })
    }

    /// The metrics of one route.
    pub(crate) fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            outcomes: Outcome::ALL.map(|o| self.requests.with_label_values(&[name, o.as_str()])),
            seconds: self.request_seconds.with_label_values(&[name]),
        }
    }

    /// The counter of connections to one upstream.
    pub(crate) fn upstream_connections(&self, upstream: &str) -> IntCounter {
        self.upstream_connections.with_label_values(&[upstream])
    }

    /// Counts what the store does from now on.
    pub(crate) fn follow_store(&self, engine: &engine::Engine) {
        let seconds = self.store_seconds.clone();
        let observer = move |kind: store::Kind, took: Duration| {
            let kind = seconds.with_label_values(&[kind.as_str()]);
            kind.observe(took.as_secs_f64());
        };
        engine.db().observe(Arc::new(observer));
    }

    /// Takes over what the engine counts itself.
    pub(crate) fn observe_engine(&self, engine: &engine::Engine) {
        let queue = i64::try_from(engine.hasher().queue()).unwrap_or(i64::MAX);
        self.hash_queue.set(queue);
        for sign_in in engine.sign_ins() {
            let labels = [&*sign_in.pool, &*sign_in.client, sign_in.result.as_str()];
            raise(&self.sign_ins.with_label_values(&labels), sign_in.count);
        }
    }

    /// Takes over how often an issuer's keys were fetched.
    pub(crate) fn observe_fetches(&self, issuer: &str, result: &str, count: u64) {
        raise(
            &self.key_set_fetches.with_label_values(&[issuer, result]),
            count,
        );
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut out = Vec::new();
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode(&families, &mut out) {
            tracing::error!(%error, "Metrics cannot be written");
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

impl api::Observer for Metrics {
    fn api_call(&self, operation: &'static str, result: &'static str) {
        self.api_calls.with_label_values(&[operation, result]).inc();
    }
}

/// Brings a counter up to a count that is kept elsewhere.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("portcullis")
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(named(name, help), labels)?)
}

/// Shows a counter's values before they first happen: a rate over what is not there yet misses the first.
fn from_zero(counter: IntCounterVec, values: &[&str]) -> IntCounterVec {
    for value in values {
        counter.with_label_values(&[value]);
    }
    counter
}

fn seconds(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::new(name, help)
        .namespace("portcullis")
        .buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(opts, labels)?)
}

/// Buckets for what takes microseconds.
const FAST: &[f64] = &[
    0.000_005, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 1.0,
];
/// Buckets for whole requests.
const SLOW: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
