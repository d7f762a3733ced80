//! Metrics: everything `/metrics` shows. Label values come from the settings or closed sets, never from callers.

mod decisions;
mod limits;
mod register;
mod sign_ins;
mod streams;

use std::{sync::Arc, time::Duration};

use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder,
};

use crate::{
    gateway::record::Losses,
    listen::{Refused, Untold},
};
use decisions::Decisions;
use register::Register;
use streams::Ended;
pub(crate) use streams::{Stream, Streams};

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
    upstream_connections: IntGaugeVec,
    streams_open: IntGaugeVec,
    streams_ended: Ended,
    pub(crate) stages: Stages,
    pub(crate) token_cache: Cache,
    pub(crate) decisions: Decisions,
    pub(crate) key_set_age: GaugeVec,
    pub(crate) revocations_age: GaugeVec,
    key_set_fetches: IntCounterVec,
    sign_ins: IntCounterVec,
    hash_queue: IntGauge,
    store_seconds: HistogramVec,
    pub(crate) generation: IntGauge,
    pub(crate) reloads: IntCounterVec,
    pub(crate) upstream_healthy: IntGaugeVec,
    pub(crate) records_dropped: Losses,
    api_calls: IntCounterVec,
    connections_refused: IntCounterVec,
    connections_ended: IntCounterVec,
    requests_refused: IntCounterVec,
    rate_limited: IntCounterVec,
    rate_limit_crowded: IntCounterVec,
}

/// Time spent in each stage of the path.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    pub(crate) admit: Histogram,
    pub(crate) identify: Histogram,
    pub(crate) decide: Histogram,
    pub(crate) serve: Histogram,
}

impl Stages {
    fn of(seconds: &HistogramVec) -> Self {
        Self {
            admit: seconds.with_label_values(&["admit"]),
            identify: seconds.with_label_values(&["identify"]),
            decide: seconds.with_label_values(&["decide"]),
            serve: seconds.with_label_values(&["serve"]),
        }
    }
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
    pub(crate) streams: Streams,
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
        let r = Register(&registry);
        let tokens = r.counters(
            "token_cache_total",
            "Lookups of verified tokens.",
            &["result"],
        )?;
        Ok(Self {
            requests: r.counters(
                "requests_total",
                "Requests by outcome.",
                &["route", "outcome"],
            )?,
            request_seconds: r.long(
                "request_seconds",
                "From a head to the last byte.",
                &["route"],
            )?,
            stages: Stages::of(&r.short(
                "stage_seconds",
                "Time in a stage of the path.",
                &["stage"],
            )?),
            token_cache: Cache::of(&tokens),
            decisions: Decisions::new(&r)?,
            key_set_age: r.ages(
                "key_set_age_seconds",
                "Age of an issuer's keys.",
                &["issuer"],
            )?,
            revocations_age: r.ages(
                "revocations_age_seconds",
                "Since when revocations of an issuer may be unknown.",
                &["issuer"],
            )?,
            key_set_fetches: r.counters(
                "key_set_fetches_total",
                "Fetches of keys.",
                &["issuer", "result"],
            )?,
            generation: r.gauge("generation", "The settings and policies in force.")?,
            reloads: r.outcomes(
                "reloads_total",
                "Reloads by result.",
                ["success", "failure"],
            )?,
            upstream_healthy: r.gauges(
                "upstream_healthy",
                "Whether a server is well.",
                &["upstream", "server"],
            )?,
            upstream_connections: r.gauges(
                "upstream_connections",
                "Connections in use.",
                &["upstream"],
            )?,
            streams_open: r.gauges(
                "streams_open",
                "Answers of server-sent events and gRPC under way.",
                &["route"],
            )?,
            streams_ended: Ended::of(&r.counters(
                "streams_ended_total",
                "Streams by what ended them.",
                &["cause"],
            )?),
            records_dropped: Losses::new(
                r.counter("records_dropped_total", "Decision records that were lost.")?,
            ),
            sign_ins: r.counters("sign_ins_total", "Steps of sign-ins.", &sign_ins::LABELS)?,
            api_calls: r.counters(
                "api_calls_total",
                "Calls of the pools' API.",
                &["operation", "result"],
            )?,
            connections_refused: r.counters(
                "connections_refused_total",
                "Connections over a limit, closed at once.",
                &["why"],
            )?,
            connections_ended: limits::connections_ended(&r)?,
            requests_refused: limits::requests_refused(&r)?,
            rate_limited: limits::refused(&r)?,
            rate_limit_crowded: limits::crowded(&r)?,
            store_seconds: r.long("store_seconds", "Time of a step of the store.", &["kind"])?,
            hash_queue: r.gauge(
                "hash_queue",
                "Password hashes and SRP steps that wait or are under way.",
            )?,
            registry,
        })
    }

    /// The metrics of one route.
    pub(crate) fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            outcomes: Outcome::ALL.map(|o| self.requests.with_label_values(&[name, o.as_str()])),
            seconds: self.request_seconds.with_label_values(&[name]),
            streams: Streams::new(
                self.streams_open.with_label_values(&[name]),
                self.streams_ended.clone(),
            ),
        }
    }

    /// The gauge of connections in use to one upstream.
    pub(crate) fn upstream_connections(&self, upstream: &str) -> IntGauge {
        self.upstream_connections.with_label_values(&[upstream])
    }

    /// The counters of connections over a limit, at zero until there are any.
    pub(crate) fn connections_refused(&self) -> Refused {
        let why = |why| self.connections_refused.with_label_values(&[why]);
        Refused {
            total: why("total"),
            client: why("client"),
        }
    }

    /// The counters of requests over a limit, at zero until there are any.
    pub(crate) fn requests_refused(&self) -> Refused {
        let why = |why| self.requests_refused.with_label_values(&[why]);
        Refused {
            total: why("total"),
            client: why("client"),
        }
    }

    /// The counters of connections without a valid header of the PROXY protocol, at zero until there are any.
    pub(crate) fn untold(&self) -> Untold {
        let why = |why| self.connections_refused.with_label_values(&[why]);
        Untold {
            sender: why("sender"),
            header: why("proxy_header"),
        }
    }

    /// The counter of connections that were ended because their callers broke off too many requests.
    pub(crate) fn reset_too_often(&self) -> IntCounter {
        self.connections_ended.with_label_values(&["resets"])
    }

    /// The counter of requests that a limit refuses on a route.
    pub(crate) fn rate_limited(&self, route: &str, limit: &str) -> IntCounter {
        self.rate_limited.with_label_values(&[route, limit])
    }

    /// The counter of newcomers that share a bucket of a limit.
    pub(crate) fn rate_limit_crowded(&self, limit: &str) -> IntCounter {
        self.rate_limit_crowded.with_label_values(&[limit])
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
        sign_ins::observe(&self.sign_ins, &engine.sign_ins());
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
