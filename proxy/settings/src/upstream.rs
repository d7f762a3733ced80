//! Services behind the gate, checked.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
};

use http::HeaderName;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use url::{Host, Url};

use crate::{Place, check::Check, load::check_name, pem, written};

use written::{Balance, Eject, HashKey, HealthCheck, UpstreamLimits};
pub use written::{Protocol, Scheme};

/// A service behind the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in logs and metrics.
    pub name: String,
    /// At least one, no two alike.
    pub servers: Vec<Server>,
    /// `None` where servers choose with TLS, and without it is HTTP/1.
    pub protocol: Option<Protocol>,
    /// Which server a request goes to.
    pub balance: Balance,
    /// How it is found out whether a server is well, if it is.
    pub health: Option<HealthCheck>,
    /// When a server is left alone for a while.
    pub eject: Eject,
    /// For how long a server that has become well takes fewer requests than others.
    pub slow_start_seconds: u32,
    /// How much it takes at once.
    pub limits: UpstreamLimits,
    /// Of the servers that are spoken to with TLS.
    pub tls: Tls,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// With TLS or without; with it, the certificate is checked against the host's name.
    pub scheme: Scheme,
    /// Where it is.
    pub address: Address,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// On the network.
    Network {
        /// A name, or an address without brackets. INVARIANT: a name for HTTPS, since the certificate is checked against it,
        /// unless the upstream gives another name for that.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket of this machine, absolute, spoken to without TLS.
    Socket(PathBuf),
}

/// TLS to servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who is trusted; the system's authorities when absent.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The name that certificates are checked against, where it is not the server's own.
    pub name: Option<String>,
    /// The gate's own certificate.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// A certificate that shows servers who the gate is. Chain and key belong together.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Leaf first; at least one.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// As in the settings: `http://host:port`, `unix:/path`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = match &self.address {
            Address::Network { host, port } => (host, port),
            Address::Socket(path) => return write!(f, "unix:{}", path.display()),
        };
        let scheme = self.scheme.as_str();
        let (open, close) = if host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(f, "{scheme}://{open}{host}{close}:{port}")
    }
}

pub(crate) fn check(
    raw: &BTreeMap<String, written::Upstream>,
    check: &mut Check<'_>,
) -> Vec<Upstream> {
    raw.iter()
        .map(|(name, raw)| upstream(name, raw, check))
        .collect()
}

fn upstream(name: &str, raw: &written::Upstream, check: &mut Check<'_>) -> Upstream {
    let place = Place::from("upstreams").key(name);
    check_name(name, &place, check);
    let servers = servers(raw, &place.key("servers"), check);
    let health = raw
        .health
        .clone()
        .map(|raw| health(raw, &place.key("health"), check));
    check_eject(&raw.eject, &place.key("eject"), check);
    check_limits(&raw.limits, &place.key("limits"), check);
    check_balance(raw, &place, check);
    let is_tls = servers.iter().any(|it| it.scheme == Scheme::Https);
    Upstream {
        name: name.to_owned(),
        tls: tls(raw.tls.as_ref(), is_tls, &place.key("tls"), check),
        servers,
        protocol: raw.protocol,
        balance: raw.balance.clone(),
        health,
        eject: raw.eject.clone(),
        slow_start_seconds: raw.slow_start_seconds,
        limits: raw.limits.clone(),
    }
}

fn servers(raw: &written::Upstream, list: &Place, check: &mut Check<'_>) -> Vec<Server> {
    if check.is_empty(list) {
        check.report(list, "name at least one server, as `http://10.0.0.7:9000`");
    }
    let has_name = raw.tls.as_ref().is_some_and(|tls| tls.name.is_some());
    let mut servers = Vec::new();
    let mut seen = HashSet::new();
    for (text, place) in raw.servers.iter().zip(check.items(list)) {
        match server(text, has_name) {
            Ok(server) if !seen.insert(server.clone()) => {
                check.report(&place, format!("`{server}` is there twice"));
            }
            Ok(server) => servers.push(server),
            Err(message) => check.report(&place, message),
        }
    }
    servers
}

fn server(text: &str, has_name: bool) -> Result<Server, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(path);
    }
    let url = Url::parse(text)
        .map_err(|error| format!("is not a URL as `http://10.0.0.7:9000`: {error}"))?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err("must start with `http://`, `https://` or `unix:/`".into()),
    };
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return Err(
            "is more than scheme, host and port; a route rewrites paths with `path`".into(),
        );
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(_) if scheme == Scheme::Https && !has_name => {
            return Err(
                "https needs a host name, which the server's certificate is checked against; write one here or as `tls.name`".into(),
            );
        }
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err("has no host".into()),
    };
    let port = url
        .port_or_known_default()
        .filter(|port| *port != 0)
        .ok_or("has no port that can be reached")?;
    let address = Address::Network { host, port };
    Ok(Server { scheme, address })
}

fn socket(path: &str) -> Result<Server, String> {
    if !path.starts_with('/') || path.starts_with("//") || path.contains('\0') {
        return Err("is not a socket's absolute path as `unix:/run/app.sock`".into());
    }
    if path.len() > LONGEST_SOCKET {
        return Err(format!(
            "is longer than a socket's path can be, {LONGEST_SOCKET} bytes"
        ));
    }
    Ok(Server {
        scheme: Scheme::Http,
        address: Address::Socket(path.into()),
    })
}

fn health(raw: written::Health, place: &Place, check: &mut Check<'_>) -> HealthCheck {
    let (health, path) = match raw {
        written::Health::Path(path) => (path.into(), place.clone()),
        written::Health::Check(health) => (health, place.key("path")),
    };
    if !health.path.starts_with('/')
        || !health.path.is_ascii()
        || health
            .path
            .contains(|it: char| it.is_whitespace() || it.is_control())
    {
        check.report(&path, "must be a path that starts with `/`");
    }
    within(
        [
            ("every_seconds", health.every_seconds, 1..=3600),
            ("timeout_seconds", health.timeout_seconds, 1..=600),
            ("fall", health.fall, 1..=100),
            ("rise", health.rise, 1..=100),
        ],
        place,
        check,
    );
    health
}

fn check_eject(eject: &Eject, place: &Place, check: &mut Check<'_>) {
    within(
        [
            ("failures", eject.failures, 0..=1000),
            ("seconds", eject.seconds, 1..=3600),
            ("most_percent", eject.most_percent.into(), 1..=100),
        ],
        place,
        check,
    );
    let list = place.key("statuses");
    for (status, place) in eject.statuses.iter().zip(check.items(&list)) {
        if !(400..=599).contains(status) {
            check.report(&place, "must be a status between 400 and 599");
        }
    }
}

fn check_limits(limits: &UpstreamLimits, place: &Place, check: &mut Check<'_>) {
    if limits.connections == Some(0) {
        check.report(&place.key("connections"), "must be 1 or more");
    }
    within(
        [("pending_seconds", limits.pending_seconds, 1..=600)],
        place,
        check,
    );
    for key in ["pending", "pending_seconds"] {
        let place = place.key(key);
        if limits.connections.is_none() && check.is_written(&place) {
            check.report(&place, "says nothing without `connections`; nobody waits");
        }
    }
}

fn check_balance(raw: &written::Upstream, upstream: &Place, check: &mut Check<'_>) {
    let place = upstream.key("balance").key("hash");
    match &raw.balance {
        Balance::Hash(HashKey::Header(name)) => {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                check.report(&place.key("header"), "is not a header name");
            }
        }
        Balance::Hash(HashKey::Cookie(name)) => {
            let is_token = |it: u8| it.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&it);
            if name.is_empty() || !name.bytes().all(is_token) {
                check.report(&place.key("cookie"), "is not a cookie's name");
            }
        }
        Balance::Hash(_) | Balance::RoundRobin | Balance::LeastConnections => {}
    }
    let place = upstream.key("slow_start_seconds");
    if raw.slow_start_seconds > 3600 {
        check.report(&place, "must be between 0 and 3600");
    }
    if raw.slow_start_seconds > 0 && matches!(raw.balance, Balance::Hash(_)) {
        check.report(
            &place,
            "says nothing beside `balance: {hash: …}`, where a request's key chooses its server; take it out",
        );
    }
}

fn tls(
    raw: Option<&written::UpstreamTls>,
    is_used: bool,
    place: &Place,
    check: &mut Check<'_>,
) -> Tls {
    let Some(raw) = raw else {
        return Tls::default();
    };
    if !is_used {
        check.report(place, "says nothing: no server is `https`; take it out");
    }
    if let Some(name) = &raw.name
        && !matches!(
            ServerName::try_from(name.as_str()),
            Ok(ServerName::DnsName(_))
        )
    {
        check.report(&place.key("name"), "is not a host name");
    }
    let ca = raw.ca.as_ref().and_then(|file| {
        let authorities = pem::authorities(&check.file(file));
        let report = |message| check.report(&place.key("ca"), message);
        authorities.map_err(report).ok()
    });
    let certificate = raw.certificate.as_ref().and_then(|files| {
        let files = written::Certificate {
            cert: check.file(&files.cert),
            key: check.file(&files.key),
        };
        let (chain, key) = pem::pair(&files, &place.key("certificate"), check)?;
        Some(Arc::new(ClientCertificate { chain, key }))
    });
    Tls {
        ca: ca.map(Arc::from),
        name: raw.name.clone(),
        certificate,
    }
}

fn within<const N: usize>(
    values: [(&str, u16, RangeInclusive<u16>); N],
    place: &Place,
    check: &mut Check<'_>,
) {
    for (key, value, range) in values {
        if !range.contains(&value) {
            let (from, to) = range.into_inner();
            check.report(&place.key(key), format!("must be between {from} and {to}"));
        }
    }
}

/// As the kernel has it (unix(7)), with an octet behind.
const LONGEST_SOCKET: usize = 107;
