//! One address of a server: requests under way there, and whether it is well.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use pingora::{protocols::l4::socket::SocketAddr, upstreams::peer::HttpPeer};
use prometheus::{IntCounter, IntGauge};
use tokio::sync::Notify;

use super::{Server, idle::Idle};
use crate::metrics::Metrics;

/// What all of an upstream's endpoints share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) connections: IntGauge,
    pub(super) ejections: IntCounter,
    /// Told each time that a server takes one request fewer, where there is a limit.
    pub(super) free: Notify,
    /// Requests under way at each.
    most: Option<usize>,
    slow_start: Duration,
    /// Since which times are counted.
    born: Instant,
}

/// One address of a server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    server: Arc<Server>,
    common: Arc<Common>,
    /// What is connected to.
    peer: HttpPeer,
    /// Which keys are its own.
    pub(super) seed: u64,
    requests: AtomicUsize,
    /// Whether it passes its health check, where there is one.
    healthy: AtomicBool,
    /// Why it does not.
    unhealthy: Mutex<Option<String>>,
    /// In a row.
    failures: AtomicU32,
    ejected: AtomicBool,
    /// Until when.
    ejected_until: Mutex<Option<Instant>>,
    /// How often, in a row.
    ejections: AtomicU32,
    /// Milliseconds after which it takes as many requests as any other; 0 where it does.
    warm_at: AtomicU64,
    /// Connections without TLS that wait for their next request.
    pub(crate) idle: Idle,
}

/// A request under way at an endpoint, for as long as this lives.
#[derive(Debug)]
pub(crate) struct InUse(Arc<Endpoint>);

impl Common {
    pub(super) fn new(upstream: &settings::Upstream, metrics: &Metrics) -> Self {
        let most = upstream.limits.connections;
        Self {
            connections: metrics.upstream_connections(&upstream.name),
            ejections: metrics.upstream_ejections(&upstream.name),
            free: Notify::new(),
            most: most.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            slow_start: Duration::from_secs(upstream.slow_start_seconds.into()),
            born: Instant::now(),
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.born);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Endpoint {
    pub(super) fn new(server: &Arc<Server>, common: &Arc<Common>, peer: HttpPeer) -> Self {
        Self {
            seed: super::balance::seed(server.label(), &peer._address.to_string()),
            server: server.clone(),
            common: common.clone(),
            peer,
            requests: AtomicUsize::new(0),
            healthy: AtomicBool::new(true),
            unhealthy: Mutex::default(),
            failures: AtomicU32::new(0),
            ejected: AtomicBool::new(false),
            ejected_until: Mutex::default(),
            ejections: AtomicU32::new(0),
            warm_at: AtomicU64::new(0),
            idle: Idle::default(),
        }
    }

    /// The server's URL, as records name it.
    pub(crate) fn label(&self) -> &str {
        self.server.label()
    }

    /// Where the settings say that its server is: a host or the path of a socket, and the port of a host.
    pub(crate) fn named(&self) -> (&str, Option<u16>) {
        self.server.named()
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(super) fn address(&self) -> &SocketAddr {
        &self.peer._address
    }

    /// The peer to connect to.
    pub(crate) fn peer(&self) -> Box<HttpPeer> {
        Box::new(self.peer.clone())
    }

    /// Requests under way.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Takes a request, unless it has as many as it may.
    pub(super) fn take(self: &Arc<Self>) -> Option<InUse> {
        match self.common.most {
            None => {
                self.requests.fetch_add(1, Ordering::Relaxed);
            }
            Some(most) => {
                let more = |requests| (requests < most).then_some(requests + 1);
                let order = Ordering::Relaxed;
                self.requests.fetch_update(order, order, more).ok()?;
            }
        }
        self.common.connections.inc();
        Some(InUse(self.clone()))
    }

    /// Whether it has as many requests as it may.
    pub(super) fn is_full(&self) -> bool {
        self.common.most.is_some_and(|most| self.requests() >= most)
    }

    /// Whether it passes its health check and is not left alone.
    pub(super) fn is_well(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && !self.is_ejected()
    }

    /// Whether it is left alone. The first who finds that it has been so for long enough ends it.
    pub(super) fn is_ejected(&self) -> bool {
        if !self.ejected.load(Ordering::Relaxed) {
            return false;
        }
        let now = Instant::now();
        let until = self.ejected_until();
        let is_over = until.is_none_or(|until| until <= now);
        if is_over && self.ejected.swap(false, Ordering::Relaxed) {
            self.warm_up(now);
        }
        !is_over
    }

    /// How many of a thousand requests it takes that would be its share: all of them but for a while after it became well.
    pub(super) fn share(&self) -> u64 {
        let warm_at = self.warm_at.load(Ordering::Relaxed);
        if warm_at == 0 {
            return ALL;
        }
        let left = warm_at.saturating_sub(self.common.millis(Instant::now()));
        if left == 0 {
            self.warm_at.store(0, Ordering::Relaxed);
            return ALL;
        }
        let whole = u64::try_from(self.common.slow_start.as_millis()).unwrap_or(u64::MAX);
        let passed = whole.saturating_sub(left);
        (passed.saturating_mul(ALL) / whole.max(1)).max(LEAST)
    }

    /// Lets it take fewer requests for a while, if the settings say so.
    pub(super) fn warm_up(&self, now: Instant) {
        if !self.common.slow_start.is_zero() {
            let warm_at = self.common.millis(now + self.common.slow_start);
            self.warm_at.store(warm_at.max(1), Ordering::Relaxed);
        }
    }

    /// Counts a failure; says whether there were so many in a row.
    pub(super) fn has_failed(&self, most: u32) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        most > 0 && failures >= most
    }

    /// An answer came, which ends a row of failures.
    pub(super) fn has_answered(&self) {
        let ends = |count: &AtomicU32| {
            // Most have none, and nobody waits for who writes.
            if count.load(Ordering::Relaxed) > 0 {
                count.store(0, Ordering::Relaxed);
            }
        };
        ends(&self.failures);
        // What was under way when it was left alone says nothing of the time since.
        if !self.ejected.load(Ordering::Relaxed) {
            ends(&self.ejections);
        }
    }

    /// Leaves it alone for a while, for longer each time; says how many times in a row that is.
    pub(super) fn eject(&self, base: Duration, now: Instant) -> u32 {
        let mut until = self.ejected_until();
        let times = (self.ejections.load(Ordering::Relaxed) + 1).min(LONGEST);
        self.ejections.store(times, Ordering::Relaxed);
        *until = now.checked_add(base.saturating_mul(times));
        self.failures.store(0, Ordering::Relaxed);
        self.ejected.store(true, Ordering::Relaxed);
        times
    }

    /// Takes over what its health check said.
    pub(super) fn set_health(&self, health: Result<(), String>) {
        let is_healthy = health.is_ok();
        let why = health.err();
        let was_healthy = self.healthy.swap(is_healthy, Ordering::Relaxed);
        let (server, address) = (self.label(), self.address());
        match &why {
            Some(why) if was_healthy => {
                tracing::warn!(%server, %address, %why, "Upstream server fails its health check");
            }
            None if !was_healthy => {
                self.warm_up(Instant::now());
                tracing::info!(%server, %address, "Upstream server is well again");
            }
            _ => {}
        }
        *self.unhealthy() = why;
    }

    /// Why it is not well.
    pub(super) fn trouble(&self) -> Option<String> {
        if !self.healthy.load(Ordering::Relaxed) {
            let why = self.unhealthy().clone().unwrap_or_default();
            return Some(format!("fails its health check: {why}"));
        }
        self.is_ejected()
            .then(|| "is left alone for a while, as requests to it fail".to_owned())
    }

    fn ejected_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.ejected_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn unhealthy(&self) -> MutexGuard<'_, Option<String>> {
        self.unhealthy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse {
    /// Where the request is under way.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        let common = &self.0.common;
        common.connections.dec();
        if common.most.is_some() {
            common.free.notify_one();
        }
    }
}

/// Of a thousand.
const ALL: u64 = 1000;
/// Of a thousand, at first.
const LEAST: u64 = 100;
/// By how many times longer it is left alone at most.
const LONGEST: u32 = 10;
