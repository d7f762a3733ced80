//! Listeners as they are written.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ListenerRedirect, form};

/// A socket the gate listens on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port; port 0 lets the kernel choose.
    #[serde(deserialize_with = "form::address")]
    pub address: SocketAddr,
    /// Certificates; absent for plain HTTP/1.1 (and h2c by prior knowledge).
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Where a plain listener sends callers, instead of serving them; absent to serve them. What a trusted peer says came
    /// over TLS is served.
    #[serde(default)]
    pub redirect: Option<ListenerRedirect>,
    /// Load balancers that say of each connection whose it is; absent where callers connect themselves.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Load balancers in front of a listener. Each connection begins with a header of the PROXY protocol, version 1 or 2; without
/// one it is closed. TLS comes after the header.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// The load balancers (CIDR), at least one; nobody else may connect.
    #[serde(deserialize_with = "form::networks")]
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub from: Vec<ipnet::IpNet>,
}

/// Certificates of a TLS listener; the first is the default, the others are chosen by SNI.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM files.
    pub certificates: Vec<Certificate>,
    /// Whose certificates callers show (mutual TLS); absent where none are asked for.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
}

/// Certificates of callers, of which policies and the headers to upstreams know the names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// PEM files of the authorities that vouch for callers, at least one; nobody else's certificate is taken.
    #[schemars(length(min = 1))]
    pub ca: Vec<PathBuf>,
    /// PEM files of revocation lists. Where there is any, each certificate below its authority must be in the scope of one that
    /// is not out of date.
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    /// Whether a caller must show one.
    #[serde(default)]
    pub mode: ClientCertificateMode,
}

/// Whether callers must show a certificate. One that is shown must be good either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificateMode {
    /// No connection without one.
    #[default]
    Required,
    /// Who shows none has none in policies.
    Optional,
}

/// One certificate chain and its key, PEM files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}
