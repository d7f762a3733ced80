//! Metrics: everything `/metrics` shows. Label values come from the settings or closed sets, never from callers.

mod decisions;
mod issuers;
mod limits;
mod mirror;
mod pools;
mod register;
mod streams;
mod upstreams;

use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use crate::gateway::record::{Losses, Lost};
use decisions::Decisions;
pub(crate) use issuers::IssuerSeen;
use issuers::Issuers;
use limits::Limits;
use pools::Pools;
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
    streams_open: IntGaugeVec,
    streams_ended: Ended,
    upstream_connections: IntGaugeVec,
    upstream_ejections: IntCounterVec,
    pub(crate) upstream_healthy: IntGaugeVec,
    pub(crate) stages: Stages,
    pub(crate) token_cache: Cache,
    pub(crate) decisions: Decisions,
    pub(crate) issuers: Issuers,
    pub(crate) limits: Limits,
    pub(crate) pools: Pools,
    pub(crate) generation: IntGauge,
    pub(crate) reloads: IntCounterVec,
    pub(crate) lost: Lost,
    pub(crate) spans_exported: IntCounter,
    pub(crate) spans_dropped: IntCounter,
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
    fn new(r: &Register<'_>) -> prometheus::Result<Self> {
        let seconds = r.short("stage_seconds", "Time in a stage of the path.", &["stage"])?;
        Ok(Self {
            admit: seconds.with_label_values(&["admit"]),
            identify: seconds.with_label_values(&["identify"]),
            decide: seconds.with_label_values(&["decide"]),
            serve: seconds.with_label_values(&["serve"]),
        })
    }
}

/// Hits and misses of the memory of tokens.
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

    fn new(r: &Register<'_>) -> prometheus::Result<Self> {
        let lookups = r.counters(
            "token_cache_total",
            "Lookups of verified tokens.",
            &["result"],
        )?;
        Ok(Self {
            hit: lookups.with_label_values(&["hit"]),
            miss: lookups.with_label_values(&["miss"]),
        })
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
            streams_open: streams::open(&r)?,
            streams_ended: Ended::new(&r)?,
            upstream_connections: upstreams::connections(&r)?,
            upstream_ejections: upstreams::ejections(&r)?,
            upstream_healthy: upstreams::healthy(&r)?,
            stages: Stages::new(&r)?,
            token_cache: Cache::new(&r)?,
            decisions: Decisions::new(&r)?,
            issuers: Issuers::new(&r)?,
            limits: Limits::new(&r)?,
            pools: Pools::new(&r)?,
            generation: r.gauge("generation", "The settings and policies in force.")?,
            reloads: r.outcomes(
                "reloads_total",
                "Reloads by result.",
                ["success", "failure"],
            )?,
            lost: lost(&r)?,
            spans_exported: r.counter("spans_exported_total", "Spans that a collector took.")?,
            spans_dropped: r.counter("spans_dropped_total", "Spans that were lost.")?,
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

    /// Counts how often servers of one upstream are left alone.
    pub(crate) fn upstream_ejections(&self, upstream: &str) -> IntCounter {
        self.upstream_ejections.with_label_values(&[upstream])
    }

    /// Shows the health of these upstreams' servers alone: those of settings before them are gone.
    pub(crate) fn keep_servers(&self, upstreams: &[settings::Upstream]) {
        upstreams::keep_servers(&self.upstream_healthy, upstreams);
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

/// By the names that the logs have in the settings.
fn lost(r: &Register<'_>) -> prometheus::Result<Lost> {
    let lost = r.counters(
        "records_dropped_total",
        "Decision records, and lines of the access log, that were lost.",
        &["log"],
    )?;
    let losses =
        |log: &'static str, label: &str| Losses::new(log, lost.with_label_values(&[label]));
    Ok(Lost {
        decisions: losses("log.decisions", "decisions"),
        access: losses("log.access", "access"),
    })
}
