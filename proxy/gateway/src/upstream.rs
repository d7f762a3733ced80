//! Upstreams: the servers behind the gate, which of them are well, and in which turn they are asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use pingora::{
    listeners::ALPN,
    upstreams::peer::{HttpPeer, PeerOptions},
};
use prometheus::{IntCounter, IntGauge};
use tokio::{runtime::Handle, task::JoinHandle};
use url::Url;

use crate::metrics::Metrics;

/// Servers that do the same work.
#[derive(Debug)]
pub(crate) struct Upstream {
    servers: Vec<Arc<Server>>,
    turn: AtomicUsize,
    connections: IntCounter,
    watches: Vec<JoinHandle<()>>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    /// As the settings name it.
    label: String,
    url: Url,
    addresses: ArcSwap<Vec<SocketAddr>>,
    healthy: AtomicBool,
    gauge: IntGauge,
}

impl Upstream {
    /// Makes an upstream, and starts what watches its servers on `runtime`.
    pub(crate) fn start(
        name: &str,
        servers: &[Url],
        health: Option<&str>,
        metrics: &Metrics,
        runtime: &Handle,
    ) -> Self {
        let servers: Vec<_> = servers
            .iter()
            .map(|url| Arc::new(Server::new(name, url.clone(), metrics)))
            .collect();
        let watches = servers
            .iter()
            .filter(|server| health.is_some() || server.fixed_address().is_none())
            .map(|server| {
                let probe = health.and_then(|path| server.url.join(path).ok());
                runtime.spawn(watch(server.clone(), probe))
            })
            .collect();
        Self {
            servers,
            turn: AtomicUsize::new(0),
            connections: metrics.upstream_connections(name),
            watches,
        }
    }

    /// How many servers there are.
    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// The turn of one request: its tries walk the servers from there.
    pub(crate) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The server for a request's `try`-th try (from 0): those that are well come first, in turn; the others after them,
    /// since a check may be wrong where nothing else is left.
    pub(crate) fn server(&self, turn: usize, tries: usize) -> Option<&Arc<Server>> {
        let (before, after) = self.servers.split_at(turn % self.servers.len().max(1));
        let in_turn = || after.iter().chain(before);
        let well = in_turn().filter(|server| server.is_well());
        let ill = in_turn().filter(|server| !server.is_well());
        well.chain(ill).nth(tries)
    }

    /// Counts a new connection.
    pub(crate) fn connected(&self) {
        self.connections.inc();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

impl Server {
    fn new(upstream: &str, url: Url, metrics: &Metrics) -> Self {
        let label = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let gauge = metrics
            .upstream_healthy
            .with_label_values(&[upstream, &label]);
        gauge.set(1);
        let server = Self {
            label,
            url,
            addresses: ArcSwap::default(),
            healthy: AtomicBool::new(true),
            gauge,
        };
        server
            .addresses
            .store(Arc::new(server.fixed_address().into_iter().collect()));
        server
    }

    /// Host and port, as records name it.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The peer to connect to; `None` while its name has no address.
    pub(crate) fn peer(&self) -> Option<Box<HttpPeer>> {
        let address = *self.addresses.load().first()?;
        let tls = self.url.scheme() == "https";
        // INVARIANT: with TLS the name is never empty, since Pingora takes an empty one for "do not verify".
        let name = self.url.host_str().filter(|_| tls).unwrap_or_default();
        let mut peer = HttpPeer::new(address, tls, name.to_owned());
        options(&mut peer.options, tls);
        Some(Box::new(peer))
    }

    fn is_well(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && !self.addresses.load().is_empty()
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// The address, where the settings give one rather than a name.
    fn fixed_address(&self) -> Option<SocketAddr> {
        match self.url.host()? {
            url::Host::Ipv4(address) => Some((address, self.port()).into()),
            url::Host::Ipv6(address) => Some((address, self.port()).into()),
            url::Host::Domain(_) => None,
        }
    }

    fn set_healthy(&self, healthy: bool) {
        let before = self.healthy.swap(healthy, Ordering::Relaxed);
        self.gauge.set(i64::from(healthy));
        if before && !healthy {
            tracing::warn!(server = %self.label, "Upstream server fails its health check");
        } else if !before && healthy {
            tracing::info!(server = %self.label, "Upstream server is well again");
        }
    }
}

fn options(options: &mut PeerOptions, tls: bool) {
    options.connection_timeout = Some(CONNECT);
    options.total_connection_timeout = Some(CONNECT_AND_HANDSHAKE);
    options.read_timeout = Some(SILENCE);
    options.write_timeout = Some(SILENCE);
    options.idle_timeout = Some(IDLE);
    if tls {
        options.alpn = ALPN::H2H1;
    }
}

/// Follows a server's name and health for as long as its upstream lives.
async fn watch(server: Arc<Server>, probe: Option<Url>) {
    let client = match probe.as_ref().map(|_| client()).transpose() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "Health checks cannot start");
            None
        }
    };
    let mut failures = 0;
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        if server.fixed_address().is_none() {
            resolve(&server).await;
        }
        if let (Some(client), Some(probe)) = (&client, &probe) {
            let answer = client.get(probe.clone()).send().await;
            let well = answer.is_ok_and(|answer| answer.status().is_success());
            failures = if well { 0 } else { failures + 1 };
            if well || failures >= FAILURES {
                server.set_healthy(well);
            }
        }
    }
}

async fn resolve(server: &Server) {
    let host = server.url.host_str().unwrap_or_default();
    match tokio::net::lookup_host((host, server.port())).await {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            if !addresses.is_empty() && **server.addresses.load() != addresses {
                server.addresses.store(Arc::new(addresses));
            }
        }
        Err(error) => {
            tracing::warn!(server = %server.label, %error, "Upstream server's name does not resolve");
        }
    }
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PROBE)
        .build()
}

const CONNECT: Duration = Duration::from_secs(3);
const CONNECT_AND_HANDSHAKE: Duration = Duration::from_secs(6);
/// Between two octets in either direction.
const SILENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_secs(5);
/// Checks in a row that must fail before a server counts as ill.
const FAILURES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(urls: &[&str]) -> Upstream {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let urls: Vec<Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
        Upstream::start("u", &urls, None, &Metrics::new().unwrap(), runtime.handle())
    }

    #[test]
    fn tries_walk_all_servers_and_those_that_are_ill_come_last() {
        let upstream = upstream(&["http://10.0.0.1:1", "http://10.0.0.2:2", "http://[::1]:3"]);
        let walk = |turn| -> Vec<_> {
            (0..4)
                .map_while(|tries| upstream.server(turn, tries))
                .map(|server| server.label().to_owned())
                .collect()
        };
        assert_eq!(walk(0), ["10.0.0.1:1", "10.0.0.2:2", "[::1]:3"]);
        assert_eq!(walk(4), ["10.0.0.2:2", "[::1]:3", "10.0.0.1:1"]);
        upstream.servers[1].set_healthy(false);
        assert_eq!(walk(4), ["[::1]:3", "10.0.0.1:1", "10.0.0.2:2"]);
    }

    #[test]
    fn a_name_has_no_peer_until_it_resolves() {
        let upstream = upstream(&["https://pets.example"]);
        let server = upstream.server(0, 0).unwrap();
        assert!(server.peer().is_none());
        server
            .addresses
            .store(Arc::new(vec![([10, 0, 0, 9], 443).into()]));
        let peer = server.peer().unwrap();
        assert_eq!(peer.sni, "pets.example");
    }
}
