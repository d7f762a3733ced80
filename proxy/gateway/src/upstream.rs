//! Upstreams: the servers behind the gate, which of them are well, and in which turn they are asked.

mod idle;
mod watch;

use std::{
    io, iter,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use pingora::{
    listeners::ALPN,
    protocols::TcpKeepalive,
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions},
};
use prometheus::IntGauge;
use serde::Serialize;
use settings::{Protocol, Scheme};
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{metrics::Metrics, status::Degraded};
use idle::Idle;
pub(crate) use idle::Room;
use watch::watch;

/// Servers that do the same work.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// What it was made of.
    settings: settings::Upstream,
    servers: Vec<Arc<Server>>,
    turn: AtomicUsize,
    connections: IntGauge,
    watches: Vec<JoinHandle<()>>,
}

/// An upstream as operators see it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UpstreamView {
    name: String,
    /// In use now.
    connections: i64,
    servers: Vec<ServerView>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ServerView {
    url: String,
    /// Whether it passes its health check, where there is one, and its name has an address.
    healthy: bool,
    addresses: Vec<SocketAddr>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    /// As the settings name it.
    label: String,
    at: settings::Server,
    protocol: Option<Protocol>,
    addresses: ArcSwap<Vec<SocketAddr>>,
    /// Why the last look for its addresses found none.
    unresolved: ArcSwapOption<String>,
    healthy: AtomicBool,
    gauge: IntGauge,
    /// Connections without TLS that wait for their next request.
    pub(crate) idle: Idle,
}

impl Upstream {
    /// Makes an upstream; what watches its servers' names and health runs on `runtime`, or does not run.
    pub(crate) fn new(
        upstream: &settings::Upstream,
        metrics: &Metrics,
        runtime: Option<&Handle>,
    ) -> Self {
        let servers: Vec<_> = upstream
            .servers
            .iter()
            .map(|at| Arc::new(Server::new(upstream, at.clone(), metrics)))
            .collect();
        let health = upstream.health.as_deref();
        let watched = |server: &&Arc<Server>| health.is_some() || server.fixed_address().is_none();
        let start = |runtime: &Handle| {
            let watch = |server: &Arc<Server>| {
                let probe = health.map(|path| format!("{}{path}", server.at));
                runtime.spawn(watch(server.clone(), probe))
            };
            let sweep = iter::once_with(|| runtime.spawn(idle::sweep(servers.clone())));
            servers
                .iter()
                .filter(watched)
                .map(watch)
                .chain(sweep)
                .collect()
        };
        Self {
            watches: runtime.map(start).unwrap_or_default(),
            connections: metrics.upstream_connections(&upstream.name),
            settings: upstream.clone(),
            servers,
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether the settings still say of it what they said: then it is kept through a reload, with what it knows of its
    /// servers' addresses and health.
    pub(crate) fn is_made_of(&self, settings: &settings::Upstream) -> bool {
        self.settings == *settings
    }

    /// How it stands now.
    pub(crate) fn view(&self) -> UpstreamView {
        UpstreamView {
            name: self.settings.name.clone(),
            connections: self.connections.get(),
            servers: self.servers.iter().map(|server| server.view()).collect(),
        }
    }

    /// Its servers that are not well, if any.
    pub(crate) fn degraded(&self) -> Option<Degraded> {
        let troubles: Vec<_> = self
            .servers
            .iter()
            .filter_map(|server| server.trouble())
            .collect();
        (!troubles.is_empty()).then(|| Degraded {
            what: format!("upstreams.{}", self.settings.name),
            why: troubles.join("; "),
        })
    }

    /// Whether all its servers speak HTTP/1 without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        let is_plain = |server: &Arc<Server>| server.at.scheme == Scheme::Http;
        !self.is_http2() && self.servers.iter().all(is_plain)
    }

    /// Whether the settings say that its servers speak HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.settings.protocol == Some(Protocol::Http2)
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

    /// Counts a connection as in use, for as long as the guard lives.
    pub(crate) fn connected(&self) -> InUse {
        self.connections.inc();
        InUse(self.connections.clone())
    }
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct InUse(IntGauge);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

impl Server {
    fn new(upstream: &settings::Upstream, at: settings::Server, metrics: &Metrics) -> Self {
        let label = at.to_string();
        let gauge = metrics
            .upstream_healthy
            .with_label_values(&[&upstream.name, &label]);
        gauge.set(1);
        let server = Self {
            label,
            at,
            protocol: upstream.protocol,
            addresses: ArcSwap::default(),
            unresolved: ArcSwapOption::empty(),
            healthy: AtomicBool::new(true),
            gauge,
            idle: Idle::default(),
        };
        let fixed = server.fixed_address().into_iter().collect();
        server.addresses.store(Arc::new(fixed));
        server
    }

    /// Its URL, as records name it.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Where it is; `None` while its name has no address.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.addresses.load().first().copied()
    }

    /// The peer to connect to at an address of its own.
    pub(crate) fn peer(&self, address: SocketAddr) -> Box<HttpPeer> {
        let tls = self.at.scheme == Scheme::Https;
        // Pingora takes an empty name for "do not verify"; that settings give HTTPS a name is their invariant.
        let name = if tls {
            self.at.host.clone()
        } else {
            String::new()
        };
        let mut peer = HttpPeer::new(address, tls, name);
        options(&mut peer.options, tls, self.protocol);
        Box::new(peer)
    }

    fn view(&self) -> ServerView {
        ServerView {
            url: self.label.clone(),
            healthy: self.is_well(),
            addresses: self.addresses.load().to_vec(),
        }
    }

    fn is_well(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && !self.addresses.load().is_empty()
    }

    /// What is not well with it.
    fn trouble(&self) -> Option<String> {
        let server = &self.label;
        let has_addresses = !self.addresses.load().is_empty();
        match &*self.unresolved.load() {
            Some(why) if has_addresses => Some(format!(
                "the name of `{server}` does not resolve any more, its last addresses are in use: {why}"
            )),
            Some(why) => Some(format!("the name of `{server}` does not resolve: {why}")),
            None if !has_addresses => {
                Some(format!("the name of `{server}` has not been resolved yet"))
            }
            None if !self.healthy.load(Ordering::Relaxed) => {
                Some(format!("`{server}` fails its health check"))
            }
            None => None,
        }
    }

    /// Takes over what a look for its addresses found, and tells of it where that is another answer than before: a name
    /// without addresses is looked for again and again.
    fn resolved(&self, found: io::Result<Vec<SocketAddr>>) {
        let error = match found {
            Ok(addresses) if !addresses.is_empty() => {
                if **self.addresses.load() != addresses {
                    self.addresses.store(Arc::new(addresses));
                }
                if self.unresolved.swap(None).is_some() {
                    tracing::info!(server = %self.label, "Upstream server's name resolves again");
                }
                return;
            }
            Ok(_) => "it has no addresses".to_owned(),
            Err(error) => error.to_string(),
        };
        if self.unresolved.load().is_none() {
            tracing::warn!(server = %self.label, %error, "Upstream server's name does not resolve");
        }
        self.unresolved.store(Some(Arc::new(error)));
    }

    /// The address, where the settings give one rather than a name.
    fn fixed_address(&self) -> Option<SocketAddr> {
        let address: IpAddr = self.at.host.parse().ok()?;
        Some((address, self.at.port).into())
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

fn options(options: &mut PeerOptions, tls: bool, protocol: Option<Protocol>) {
    options.connection_timeout = Some(CONNECT);
    options.total_connection_timeout = Some(CONNECT_AND_HANDSHAKE);
    options.read_timeout = Some(SILENCE);
    options.write_timeout = Some(SILENCE);
    options.idle_timeout = Some(IDLE);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: KEEPALIVE,
        interval: PROBE,
        count: PROBES.into(),
        user_timeout: Duration::ZERO,
    });
    // What goes upstream is made anew (`forward::request`), so there is nothing in Pingora's copy to clean.
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    options.alpn = match protocol {
        Some(Protocol::Http2) => ALPN::H2,
        None if tls => ALPN::H2H1,
        Some(Protocol::Http1) | None => ALPN::H1,
    };
}

const CONNECT: Duration = Duration::from_secs(3);
const CONNECT_AND_HANDSHAKE: Duration = Duration::from_secs(6);
/// Between two octets in either direction.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);
const IDLE: Duration = Duration::from_mins(1);
/// After which a silent peer is asked whether it is there, how often, and how many times.
pub(crate) const KEEPALIVE: Duration = Duration::from_mins(1);
pub(crate) const PROBE: Duration = Duration::from_secs(15);
pub(crate) const PROBES: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Captured;

    fn upstream(scheme: Scheme, servers: &[(&str, u16)]) -> Upstream {
        let servers = servers.iter().map(|(host, port)| settings::Server {
            scheme,
            host: (*host).to_owned(),
            port: *port,
        });
        let upstream = settings::Upstream {
            name: "u".into(),
            servers: servers.collect(),
            health: None,
            protocol: None,
        };
        Upstream::new(&upstream, &Metrics::new().unwrap(), None)
    }

    #[test]
    fn tries_walk_all_servers_and_those_that_are_ill_come_last() {
        let upstream = upstream(
            Scheme::Http,
            &[("10.0.0.1", 1), ("10.0.0.2", 2), ("::1", 3)],
        );
        let walk = |turn| -> Vec<_> {
            (0..4)
                .map_while(|tries| upstream.server(turn, tries))
                .map(|server| server.label().to_owned())
                .collect()
        };
        assert_eq!(
            walk(0),
            ["http://10.0.0.1:1", "http://10.0.0.2:2", "http://[::1]:3"]
        );
        assert_eq!(
            walk(4),
            ["http://10.0.0.2:2", "http://[::1]:3", "http://10.0.0.1:1"]
        );
        upstream.servers[1].set_healthy(false);
        assert_eq!(
            walk(4),
            ["http://[::1]:3", "http://10.0.0.1:1", "http://10.0.0.2:2"]
        );
    }

    #[test]
    fn an_upstream_is_kept_only_if_all_of_it_is_said_again() {
        let upstream = upstream(Scheme::Http, &[("10.0.0.1", 1)]);
        let said = upstream.settings.clone();
        assert!(upstream.is_made_of(&said));
        let with_health = settings::Upstream {
            health: Some("/healthz".into()),
            ..said.clone()
        };
        let renamed = settings::Upstream {
            name: "v".into(),
            ..said.clone()
        };
        let emptied = settings::Upstream {
            servers: Vec::new(),
            ..said
        };
        for other in [with_health, renamed, emptied] {
            assert!(!upstream.is_made_of(&other));
        }
    }

    #[test]
    fn operators_see_how_servers_stand() {
        let upstream = upstream(Scheme::Http, &[("10.0.0.1", 1), ("pets.example", 2)]);
        upstream.servers[0].set_healthy(false);
        let _in_use = upstream.connected();
        assert_eq!(
            serde_json::to_value(upstream.view()).unwrap(),
            serde_json::json!({
                "name": "u",
                "connections": 1,
                "servers": [
                    {"url": "http://10.0.0.1:1", "healthy": false, "addresses": ["10.0.0.1:1"]},
                    {"url": "http://pets.example:2", "healthy": false, "addresses": []},
                ],
            })
        );
    }

    #[test]
    fn operators_are_told_of_servers_that_are_not_well() {
        let upstream = upstream(Scheme::Http, &[("10.0.0.1", 1), ("pets.example", 2)]);
        let why = || upstream.degraded().map_or(String::new(), |entry| entry.why);
        let named = &upstream.servers[1];
        assert_eq!(upstream.degraded().unwrap().what, "upstreams.u");
        let name = "the name of `http://pets.example:2`";
        assert_eq!(why(), format!("{name} has not been resolved yet"));
        named.resolved(Ok(Vec::new()));
        assert_eq!(
            why(),
            format!("{name} does not resolve: it has no addresses")
        );
        named.resolved(Ok(vec![([10, 0, 0, 9], 2).into()]));
        assert_eq!(upstream.degraded(), None);
        named.resolved(Err(io::Error::other("no answer")));
        let last = "does not resolve any more, its last addresses are in use: no answer";
        assert_eq!(why(), format!("{name} {last}"));
        named.resolved(Ok(vec![([10, 0, 0, 9], 2).into()]));
        upstream.servers[0].set_healthy(false);
        assert_eq!(why(), "`http://10.0.0.1:1` fails its health check");
    }

    #[test]
    fn what_goes_on_is_said_once() {
        let upstream = upstream(Scheme::Http, &[("pets.example", 2)]);
        let server = &upstream.servers[0];
        let log = Captured::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            for _ in 0..3 {
                server.resolved(Err(io::Error::other("no answer")));
            }
            server.resolved(Ok(vec![([10, 0, 0, 9], 2).into()]));
            server.resolved(Ok(vec![([10, 0, 0, 9], 2).into()]));
            server.resolved(Ok(Vec::new()));
        });
        let said = log.text();
        assert_eq!(said.matches("name does not resolve").count(), 2, "{said}");
        assert_eq!(said.matches("resolves again").count(), 1, "{said}");
    }

    #[test]
    fn a_name_has_no_peer_until_it_resolves() {
        let upstream = upstream(Scheme::Https, &[("pets.example", 443)]);
        let server = upstream.server(0, 0).unwrap();
        assert!(server.address().is_none());
        server
            .addresses
            .store(Arc::new(vec![([10, 0, 0, 9], 443).into()]));
        let peer = server.peer(server.address().unwrap());
        assert_eq!(peer.sni, "pets.example");
    }
}
