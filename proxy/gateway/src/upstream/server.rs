//! A server as the settings name it: where its name leads, and how it is connected to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use pingora::{
    listeners::ALPN,
    protocols::TcpKeepalive,
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions},
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use prometheus::IntGauge;
use settings::{Address, Protocol, Scheme};

use super::{Endpoint, IDLE, KEEPALIVE, PROBE, PROBES, WINDOW};
use crate::metrics::Metrics;

/// One server of the settings.
#[derive(Debug)]
pub(super) struct Server {
    /// As the settings name it.
    label: String,
    at: settings::Server,
    /// All that is said to it begins with this, but for where it is.
    options: PeerOptions,
    /// The name its certificate is checked against; empty without TLS.
    checked: String,
    certificate: Option<Arc<CertKey>>,
    /// Connections are shared by those who have the same.
    group: u64,
    /// Why the last look for its addresses found none.
    unresolved: ArcSwapOption<String>,
    gauge: IntGauge,
}

impl Server {
    pub(super) fn new(
        upstream: &settings::Upstream,
        at: &settings::Server,
        metrics: &Metrics,
    ) -> Self {
        let label = at.to_string();
        let gauge = metrics
            .upstream_healthy
            .with_label_values(&[&upstream.name, &label]);
        gauge.set(1);
        let tls = &upstream.tls;
        let is_tls = at.scheme == Scheme::Https;
        let mut options = options(is_tls, upstream.protocol);
        options.ca = tls.ca.as_ref().map(|ca| {
            ca.iter()
                .map(|authority| WrappedX509::new(authority.to_vec(), parse_x509))
                .collect()
        });
        let certificate = tls.certificate.as_ref().filter(|_| is_tls);
        Self {
            // Pingora takes an empty name for "do not verify"; that settings give HTTPS a name is their invariant.
            checked: match (&tls.name, &at.address) {
                _ if !is_tls => String::new(),
                (Some(name), _) => name.clone(),
                (None, Address::Network { host, .. }) => host.clone(),
                (None, Address::Socket(_)) => String::new(),
            },
            certificate: certificate.map(|shown| {
                let chain = shown.chain.iter().map(|part| part.to_vec());
                Arc::new(CertKey::new(
                    chain.collect(),
                    shown.key.secret_der().to_vec(),
                ))
            }),
            // Another upstream may trust others, and what it trusted before a reload is not what it trusts now.
            group: GROUP.fetch_add(1, Ordering::Relaxed),
            label,
            at: at.clone(),
            options,
            unresolved: ArcSwapOption::empty(),
            gauge,
        }
    }

    /// Its URL, as records name it.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Where the settings say that it is: a host or the path of a socket, and the port of a host.
    pub(super) fn named(&self) -> (&str, Option<u16>) {
        match &self.at.address {
            Address::Network { host, port } => (host, Some(*port)),
            Address::Socket(path) => (path.to_str().unwrap_or_default(), None),
        }
    }

    /// The name that must be looked up, with the port, if there is one.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        match &self.at.address {
            Address::Network { host, port } if host.parse::<IpAddr>().is_err() => {
                Some((host, *port))
            }
            Address::Network { .. } | Address::Socket(_) => None,
        }
    }

    /// What requests to it alone call their host: health checks.
    pub(super) fn authority(&self) -> String {
        match &self.at.address {
            Address::Socket(_) => "localhost".to_owned(),
            Address::Network { .. } => {
                let (_, authority) = self.label.split_once("://").unwrap_or_default();
                authority.to_owned()
            }
        }
    }

    /// The peer, where the settings give an address rather than a name.
    pub(super) fn fixed_peer(&self) -> Option<HttpPeer> {
        match &self.at.address {
            Address::Network { host, port } => {
                let address: IpAddr = host.parse().ok()?;
                Some(self.peer((address, *port).into()))
            }
            Address::Socket(path) => {
                // Its length is checked with the settings.
                let peer = HttpPeer::new_uds(path.to_str()?, false, String::new()).ok()?;
                Some(self.made(peer))
            }
        }
    }

    /// The peer at an address.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let is_tls = self.at.scheme == Scheme::Https;
        self.made(HttpPeer::new(address, is_tls, self.checked.clone()))
    }

    fn made(&self, mut peer: HttpPeer) -> HttpPeer {
        peer.options = self.options.clone();
        peer.client_cert_key.clone_from(&self.certificate);
        peer.group_key = self.group;
        peer
    }

    /// What is not well with it, which has these endpoints.
    pub(super) fn trouble(&self, endpoints: &[Arc<Endpoint>]) -> Option<String> {
        let server = &self.label;
        match &*self.unresolved.load() {
            Some(why) if !endpoints.is_empty() => {
                return Some(format!(
                    "the name of `{server}` does not resolve any more, its last addresses are in use: {why}"
                ));
            }
            Some(why) => return Some(format!("the name of `{server}` does not resolve: {why}")),
            None if endpoints.is_empty() => {
                return Some(format!("the name of `{server}` has not been resolved yet"));
            }
            None => {}
        }
        // One that is well is enough for it to be.
        let troubles = endpoints.iter().map(|it| (it.address(), it.trouble()));
        let mut troubles: Vec<_> = troubles.collect();
        if troubles.iter().any(|(_, trouble)| trouble.is_none()) {
            return None;
        }
        let (address, trouble) = troubles.pop()?;
        let trouble = trouble.unwrap_or_default();
        Some(match self.name() {
            None => format!("`{server}` {trouble}"),
            Some(_) => format!("`{server}` at {address} {trouble}"),
        })
    }

    /// Shows whether it is well.
    pub(super) fn observe(&self, is_well: bool) {
        self.gauge.set(i64::from(is_well));
    }

    /// Takes over what a look for its addresses found, and tells of it where that is another answer than before: a name
    /// without addresses is looked for again and again. Gives the addresses, where there are any.
    pub(super) fn resolved(&self, found: io::Result<Vec<SocketAddr>>) -> Option<Vec<SocketAddr>> {
        let error = match found {
            Ok(addresses) if !addresses.is_empty() => {
                if self.unresolved.swap(None).is_some() {
                    tracing::info!(server = %self.label, "Upstream server's name resolves again");
                }
                return Some(addresses);
            }
            Ok(_) => "it has no addresses".to_owned(),
            Err(error) => error.to_string(),
        };
        if self.unresolved.load().is_none() {
            tracing::warn!(server = %self.label, %error, "Upstream server's name does not resolve");
        }
        self.unresolved.store(Some(Arc::new(error)));
        None
    }
}

fn options(tls: bool, protocol: Option<Protocol>) -> PeerOptions {
    let mut options = PeerOptions::new();
    options.idle_timeout = Some(IDLE);
    options.h2_stream_window_size = Some(WINDOW);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: KEEPALIVE,
        interval: PROBE,
        count: PROBES.into(),
        user_timeout: Duration::ZERO,
    });
    // What goes upstream is made anew (`forward::request`), so there is nothing in Pingora's copy to clean.
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
    options.max_h2_streams = STREAMS;
    options.alpn = match protocol {
        Some(Protocol::Http2) => ALPN::H2,
        None if tls => ALPN::H2H1,
        Some(Protocol::Http1) | None => ALPN::H1,
    };
    options
}

static GROUP: AtomicU64 = AtomicU64::new(1);
/// Requests at a time on one connection of HTTP/2, if the server takes as many.
const STREAMS: usize = 100;
