//! Listeners as they are written.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::form;

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
