//! Traces: spans on their way to a collector that speaks OTLP.
//!
//! What happened in a request is told by [`crate::gateway`] when the request is over; here it is queued in its octets, and sent
//! by one task in the background. A collector that is slow or gone costs requests nothing: what has no room is counted.

mod answer;
mod destination;
mod export;
pub(crate) mod otlp;
mod queue;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntCounter;
use settings::TrustParent;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{metrics::Metrics, status::Degraded};
pub(crate) use answer::rejected;
use destination::Destination;
pub(crate) use export::Exporter;
use queue::Queue;

/// Which requests are recorded, and where their spans go, as settings say.
#[derive(Debug)]
pub(crate) struct Traces {
    settings: settings::Traces,
    share: Share,
    destination: Arc<Destination>,
    outlet: Outlet,
}

/// Where spans are put for as long as the process runs; cloning shares it.
#[derive(Clone)]
pub(crate) struct Outlet {
    queue: Arc<Queue>,
    to: watch::Sender<Option<Arc<Destination>>>,
    /// Why the latest batch could not be sent.
    error: Arc<Mutex<Option<String>>>,
    exported: IntCounter,
    dropped: IntCounter,
    /// Tells this process from others.
    instance: Arc<str>,
}

/// A share of all requests, drawn by lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(u64);

impl Traces {
    /// As these settings say; what is put into the outlet goes there from [`Traces::put_in_force`] on.
    pub(crate) fn new(settings: &settings::Traces, outlet: &Outlet) -> reqwest::Result<Self> {
        Ok(Self {
            destination: Arc::new(Destination::new(settings, &outlet.instance)?),
            share: Share::of(settings.sample),
            settings: settings.clone(),
            outlet: outlet.clone(),
        })
    }

    /// Whether the settings still say what they said.
    pub(crate) fn is_made_of(&self, settings: &settings::Traces) -> bool {
        self.settings == *settings
    }

    /// Sends all spans to this collector from now on, those that wait too.
    pub(crate) fn put_in_force(&self) {
        let destination = &self.destination;
        let is_other = |to: &mut Option<Arc<Destination>>| {
            let is_same = to.as_ref().is_some_and(|to| Arc::ptr_eq(to, destination));
            if !is_same {
                *to = Some(destination.clone());
            }
            !is_same
        };
        if self.outlet.to.send_if_modified(is_other) {
            *self.outlet.error() = None;
        }
    }

    /// What is believed of a caller's `traceparent`.
    pub(crate) fn trust_parent(&self) -> TrustParent {
        self.settings.trust_parent
    }

    /// Whether a request is recorded that drew this lot.
    pub(crate) fn draws(&self, lot: u64) -> bool {
        self.share.has(lot)
    }

    /// Puts spans in, each as a field of `ScopeSpans`; never waits.
    pub(crate) fn give(&self, octets: &[u8], spans: u64) {
        if !self.outlet.queue.give(octets, spans) {
            self.outlet.dropped.inc_by(spans);
        }
    }

    /// What is not well.
    pub(crate) fn degraded(&self) -> Option<Degraded> {
        let error = self.outlet.error().clone()?;
        Some(Degraded {
            what: "traces".into(),
            why: format!(
                "spans cannot be exported, and are lost when they have waited long: {error}"
            ),
        })
    }
}

impl Outlet {
    /// An outlet from which nothing is sent until an [`Exporter`] does.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            queue: Arc::new(Queue::new()),
            to: watch::Sender::new(None),
            error: Arc::default(),
            exported: metrics.spans_exported.clone(),
            dropped: metrics.spans_dropped.clone(),
            instance: Uuid::new_v4().to_string().into(),
        }
    }

    /// A batch was taken, but for so many spans.
    fn sent(&self, spans: u64, rejected: u64) {
        let rejected = rejected.min(spans);
        self.exported.inc_by(spans - rejected);
        if rejected > 0 {
            self.lost(rejected);
            self.failed("the collector does not take all spans");
        } else if self.error().take().is_some() {
            let dropped = self.dropped.get();
            tracing::info!(dropped, "Spans are exported again");
        }
    }

    fn failed(&self, why: &str) {
        if self.error().replace(why.to_owned()).is_none() {
            tracing::warn!(why, "Spans cannot be exported");
        }
    }

    fn lost(&self, spans: u64) {
        self.dropped.inc_by(spans);
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        // It is replaced as a whole.
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("waiting", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Share {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 0.0 to 1.0 is one of numbers of 64 bits, and all of them where it is rounded up"
    )]
    fn of(share: f64) -> Self {
        Self((share * LOTS) as u64)
    }

    fn has(self, lot: u64) -> bool {
        lot < self.0 || self.0 == u64::MAX
    }
}

/// How many lots there are: 2⁶⁴.
const LOTS: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
mod tests;
