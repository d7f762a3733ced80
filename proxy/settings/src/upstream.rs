//! Services behind the gate, checked.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use url::{Host, Url};

use crate::{Place, check::Check, load::check_name, written};

pub use written::Protocol;

/// A service behind the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in logs and metrics.
    pub name: String,
    /// At least one, no two alike.
    pub servers: Vec<Server>,
    /// A path that answers 2xx when a server is well.
    pub health: Option<String>,
    /// `None` where servers choose with TLS, and without it is HTTP/1.
    pub protocol: Option<Protocol>,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// With TLS or without.
    pub scheme: Scheme,
    /// A name, or an address without brackets. INVARIANT: a name for HTTPS, since the certificate is checked against it.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS, the certificate checked against the host's name.
    Https,
}

/// As in the settings: `http://host:port`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
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
    let list = place.key("servers");
    if check.is_empty(&list) {
        check.report(&list, "name at least one server, as `http://10.0.0.7:9000`");
    }
    let mut servers = Vec::new();
    let mut seen = HashSet::new();
    for (text, place) in raw.servers.iter().zip(check.items(&list)) {
        match server(text) {
            Ok(server) if !seen.insert(server.clone()) => {
                check.report(&place, format!("`{server}` is there twice"));
            }
            Ok(server) => servers.push(server),
            Err(message) => check.report(&place, message),
        }
    }
    if raw
        .health
        .as_ref()
        .is_some_and(|path| !path.starts_with('/') || path.contains(char::is_whitespace))
    {
        check.report(&place.key("health"), "must be a path that starts with `/`");
    }
    Upstream {
        name: name.to_owned(),
        servers,
        health: raw.health.clone(),
        protocol: raw.protocol,
    }
}

fn server(text: &str) -> Result<Server, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("is not a URL as `http://10.0.0.7:9000`: {error}"))?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err("must start with `http://` or `https://`".into()),
    };
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return Err("is more than scheme, host and port; paths are kept as they come".into());
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(_) if scheme == Scheme::Https => {
            return Err(
                "https needs a host name, which the server's certificate is checked against".into(),
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
    Ok(Server { scheme, host, port })
}
