//! Upstreams: the servers behind the gate, which of them are well, and which one a request goes to.

mod balance;
mod endpoint;
mod idle;
mod list;
mod second_look;
mod server;
mod watch;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use serde::Serialize;
use settings::{Balance, HashKey, Protocol, Scheme};
use tokio::{runtime::Handle, sync::Mutex, task::JoinHandle, time::timeout};

use crate::{metrics::Metrics, status::Degraded};
pub(crate) use balance::Turn;
use endpoint::Common;
pub(crate) use endpoint::{Endpoint, InUse};
pub(crate) use idle::Room;
use list::Endpoints;
pub(crate) use second_look::SecondLook;
use server::Server;

/// Servers that do the same work.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// What it was made of.
    settings: settings::Upstream,
    servers: Vec<Arc<Server>>,
    endpoints: Arc<Endpoints>,
    common: Arc<Common>,
    turn: AtomicU64,
    /// Requests that wait for a server.
    pending: AtomicUsize,
    /// In which those stand that wait.
    line: Mutex<()>,
    watches: Vec<JoinHandle<()>>,
}

/// An upstream as operators see it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UpstreamView {
    name: String,
    /// In use now.
    connections: i64,
    /// Requests that wait for a server.
    pending: usize,
    servers: Vec<ServerView>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ServerView {
    url: String,
    /// Whether one of its addresses is.
    healthy: bool,
    addresses: Vec<AddressView>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct AddressView {
    address: String,
    /// Whether it passes its health check, where there is one, and is not left alone.
    healthy: bool,
    /// It is left alone for a while, because requests to it failed.
    ejected: bool,
    /// Under way now.
    requests: usize,
}

/// Why no server can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// None has an address, or all have been tried.
    Unreachable,
    /// All take as many requests as they may, and so many wait already, or this one has waited for long.
    Overloaded,
}

impl Upstream {
    /// Makes an upstream; what watches its servers' names and health runs on `runtime`, or does not run.
    pub(crate) fn new(
        upstream: &settings::Upstream,
        metrics: &Metrics,
        runtime: Option<&Handle>,
    ) -> Self {
        let common = Arc::new(Common::new(upstream, metrics));
        let servers = upstream.servers.iter();
        let servers: Vec<_> = servers
            .map(|at| Arc::new(Server::new(upstream, at, metrics)))
            .collect();
        let endpoints = Arc::new(Endpoints::new(&servers, &common));
        let watches = runtime.map(|runtime| {
            let health = upstream.health.clone();
            let names = servers.iter().filter(|server| server.name().is_some());
            let lookups = names
                .map(|server| runtime.spawn(watch::resolve(server.clone(), endpoints.clone())));
            let checks =
                health.map(|health| runtime.spawn(watch::check(endpoints.clone(), health)));
            let sweep = runtime.spawn(idle::sweep(endpoints.clone()));
            lookups.chain(checks).chain([sweep]).collect()
        });
        Self {
            settings: upstream.clone(),
            watches: watches.unwrap_or_default(),
            servers,
            endpoints,
            common,
            turn: AtomicU64::new(0),
            pending: AtomicUsize::new(0),
            line: Mutex::new(()),
        }
    }

    /// Whether the settings still say of it what they said: then it is kept through a reload, with what it knows of its
    /// servers' addresses and health.
    pub(crate) fn is_made_of(&self, settings: &settings::Upstream) -> bool {
        self.settings == *settings
    }

    /// Its name in the settings.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// How it stands now.
    pub(crate) fn view(&self) -> UpstreamView {
        UpstreamView {
            name: self.settings.name.clone(),
            connections: self.common.connections.get(),
            pending: self.pending.load(Ordering::Relaxed),
            servers: self.servers.iter().map(|it| self.server_view(it)).collect(),
        }
    }

    fn server_view(&self, server: &Arc<Server>) -> ServerView {
        let of: Vec<_> = self.endpoints.of(server);
        ServerView {
            url: server.label().to_owned(),
            healthy: of.iter().any(|endpoint| endpoint.is_well()),
            addresses: of
                .iter()
                .map(|endpoint| AddressView {
                    address: endpoint.address().to_string(),
                    healthy: endpoint.is_well(),
                    ejected: endpoint.is_ejected(),
                    requests: endpoint.requests(),
                })
                .collect(),
        }
    }

    /// Its servers that are not well, if any.
    pub(crate) fn degraded(&self) -> Option<Degraded> {
        let troubles: Vec<_> = self
            .servers
            .iter()
            .filter_map(|server| server.trouble(&self.endpoints.of(server)))
            .collect();
        (!troubles.is_empty()).then(|| Degraded {
            what: format!("upstreams.{}", self.settings.name),
            why: troubles.join("; "),
        })
    }

    /// Whether all its servers have addresses.
    pub(crate) fn is_resolved(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.all(|server| !self.endpoints.of(server).is_empty())
    }

    /// Brings the metrics up to date that are asked for rather than counted.
    pub(crate) fn observe(&self) {
        for server in &self.servers {
            let of = self.endpoints.of(server);
            server.observe(of.iter().any(|endpoint| endpoint.is_well()));
        }
    }

    /// Whether all its servers speak HTTP/1 without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        let mut servers = self.settings.servers.iter();
        !self.is_http2() && servers.all(|server| server.scheme == Scheme::Http)
    }

    /// Whether the settings say that its servers speak HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.settings.protocol == Some(Protocol::Http2)
    }

    /// Whether any of its servers may be found to speak HTTP/2.
    pub(crate) fn may_be_http2(&self) -> bool {
        let mut servers = self.settings.servers.iter();
        let chooses = self.settings.protocol.is_none();
        self.is_http2() || chooses && servers.any(|server| server.scheme == Scheme::Https)
    }

    /// What of a request chooses its server, if anything.
    pub(crate) fn hash_key(&self) -> Option<&HashKey> {
        match &self.settings.balance {
            Balance::Hash(key) => Some(key),
            Balance::RoundRobin | Balance::LeastConnections => None,
        }
    }

    /// The turn of one request that has no key.
    pub(crate) fn turn(&self) -> Turn {
        Turn::Number(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    /// How many servers a request may be tried on.
    pub(crate) fn tries(&self) -> usize {
        self.endpoints.load().len().min(MAX_TRIES)
    }

    /// A server for a request that these were tried for in vain; waits where all have as many requests as they may.
    ///
    /// # Errors
    ///
    /// Where none can be had.
    pub(crate) async fn choose(
        &self,
        turn: Turn,
        tried: &[Arc<Endpoint>],
    ) -> Result<InUse, Unavailable> {
        // Whoever waits comes before who is new.
        if self.pending.load(Ordering::Relaxed) == 0 {
            match self.endpoints.choose(turn, tried, &self.settings.balance) {
                Err(Unavailable::Overloaded) => {}
                chosen => return chosen,
            }
        }
        Box::pin(self.wait(turn, tried)).await
    }

    async fn wait(&self, turn: Turn, tried: &[Arc<Endpoint>]) -> Result<InUse, Unavailable> {
        let limits = &self.settings.limits;
        let most = usize::try_from(limits.pending).unwrap_or(usize::MAX);
        let place = Pending::take(&self.pending, most).ok_or(Unavailable::Overloaded)?;
        let patience = Duration::from_secs(limits.pending_seconds.into());
        let chosen = timeout(patience, async {
            // First come, first served: only the first in line looks, so that whatever becomes free is told to who can use it.
            let _first = self.line.lock().await;
            loop {
                let mut told = pin!(self.common.free.notified());
                // Asked to be told before it is looked: what becomes free in between is told too.
                told.as_mut().enable();
                match self.endpoints.choose(turn, tried, &self.settings.balance) {
                    Err(Unavailable::Overloaded) => told.await,
                    chosen => return chosen,
                }
            }
        });
        let chosen = chosen.await.unwrap_or(Err(Unavailable::Overloaded));
        drop(place);
        chosen
    }

    /// A request to this server failed: it could not be connected to, or its answer did not come or broke off.
    pub(crate) fn failed(&self, endpoint: &Arc<Endpoint>) {
        let eject = &self.settings.eject;
        if !endpoint.has_failed(eject.failures.into()) {
            return;
        }
        if self.endpoints.may_eject(endpoint, eject.most_percent) {
            let base = Duration::from_secs(eject.seconds.into());
            let times = endpoint.eject(base, Instant::now());
            self.common.ejections.inc();
            tracing::warn!(
                upstream = %self.settings.name, server = %endpoint.label(), address = %endpoint.address(), times,
                "Upstream server is left alone for a while, as requests to it fail"
            );
        }
    }

    /// A server answered with this status.
    pub(crate) fn answered(&self, endpoint: &Arc<Endpoint>, status: StatusCode) {
        if self.settings.eject.statuses.contains(&status.as_u16()) {
            self.failed(endpoint);
        } else {
            endpoint.has_answered();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

/// A place among those that wait.
struct Pending<'p>(&'p AtomicUsize);

impl<'p> Pending<'p> {
    fn take(pending: &'p AtomicUsize, most: usize) -> Option<Self> {
        let taken = pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < most).then_some(waiting + 1)
        });
        // Not made where it was not taken: its end gives the place back.
        taken.is_ok().then(|| Self(pending))
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Servers that one request is tried on, at most.
const MAX_TRIES: usize = 3;
/// For how long a connection waits for its next request.
const IDLE: Duration = Duration::from_mins(1);
/// Octets of an answer over HTTP/2 that its caller has not taken: so many lie in memory for each who is slow.
const WINDOW: u32 = 256 * 1024;
/// After which a silent peer is asked whether it is there, how often, and how many times.
pub(crate) const KEEPALIVE: Duration = Duration::from_mins(1);
pub(crate) const PROBE: Duration = Duration::from_secs(15);
pub(crate) const PROBES: u8 = 6;

#[cfg(test)]
mod tests;
