//! The pools: sign-ins, calls of their API, and what these wait for.

use std::{sync::Arc, time::Duration};

use prometheus::{HistogramVec, IntCounterVec, IntGauge, Result};

use super::{mirror::Mirror, register::Register};

/// Metrics of the pools; cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Pools {
    sign_ins: Mirror<3>,
    api_calls: IntCounterVec,
    store_seconds: HistogramVec,
    hash_queue: IntGauge,
}

impl Pools {
    pub(super) fn new(r: &Register<'_>) -> Result<Self> {
        const OF_SIGN_INS: [&str; 3] = ["pool", "client", "result"];
        let sign_ins = r.counters("sign_ins_total", "Steps of sign-ins.", &OF_SIGN_INS)?;
        Ok(Self {
            sign_ins: Mirror::new(sign_ins, OF_SIGN_INS),
            api_calls: r.counters(
                "api_calls_total",
                "Calls of the pools' API.",
                &["operation", "result"],
            )?,
            store_seconds: r.long("store_seconds", "Time of a step of the store.", &["kind"])?,
            hash_queue: r.gauge(
                "hash_queue",
                "Steps of sign-ins, and other hashes, that wait for a hashing thread or are on one.",
            )?,
        })
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

    /// Takes over what the engine counts itself. It drops what it counted of a client that is deleted, and so do we.
    pub(crate) fn observe(&self, engine: &engine::Engine) {
        let queue = i64::try_from(engine.hasher().queue()).unwrap_or(i64::MAX);
        self.hash_queue.set(queue);
        let counted = engine.sign_ins();
        let counts = counted.iter().map(|one| {
            let labels = [&*one.pool, &*one.client, one.result.as_str()];
            (labels, one.count)
        });
        self.sign_ins.show(&counts.collect::<Vec<_>>());
    }
}

impl api::Observer for Pools {
    fn api_call(&self, operation: &'static str, result: &'static str) {
        self.api_calls.with_label_values(&[operation, result]).inc();
    }
}
