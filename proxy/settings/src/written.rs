//! The settings as they are written: what serde reads and the JSON schema describes. Nothing here is checked beyond its
//! type; [`crate::load`] makes [`crate::Settings`] of it.

mod answer;
mod cors;
mod form;
mod issuer;
mod limits;
mod listener;
mod log;
mod rate_limit;
mod route;
mod traces;
mod upstream;

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU8, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use answer::{Https, ListenerRedirect, Redirect, RedirectStatus, Respond, ToHttps};
pub use cors::{Cors, CorsRules, CorsWord};
pub use issuer::{Fetch, Issuer, Principal, Proxy, Revocations, Signer};
pub use limits::Limits;
pub use listener::{
    Certificate, ClientCertificateMode, ClientCertificates, Listener, ProxyProtocol, Tls,
};
pub(crate) use log::NONE;
pub use log::{AccessFormat, AccessLog, Decisions, Log, Output};
pub use rate_limit::{By, RateLimit, RouteLimit};
pub use route::{
    Admit, Allow, Answer, Authenticate, Authorize, AuthorizeWord, Bearer, Forward, Policies, Route,
    Serve, Timeouts, TokenPlace,
};
pub use traces::{TraceHeader, Traces, TrustParent};
pub use upstream::{
    Balance, Eject, HashKey, Health, HealthCheck, Protocol, Upstream, UpstreamLimits, UpstreamTls,
};

/// Everything a `portcullis.yaml` says.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "portcullis.yaml")]
pub struct Settings {
    /// Where the gate listens; at least one.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub listeners: Vec<Listener>,
    /// Threads that serve requests; as many as there are processors when absent.
    #[serde(default)]
    pub workers: Option<NonZeroU8>,
    /// Who signs the tokens that routes accept, by name.
    #[serde(default)]
    pub issuers: BTreeMap<String, Issuer>,
    /// Cedar policy directories, by name.
    #[serde(default)]
    pub policies: BTreeMap<String, decision::Config>,
    /// Services behind the gate, by name.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Upstream>,
    /// Rate limits that several routes share, by name.
    #[serde(default)]
    pub rate_limits: BTreeMap<String, RateLimit>,
    /// What is let through, and on which terms; at least one.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub routes: Vec<Route>,
    /// The embedded identity engine; absent for a gate without a store.
    #[serde(default)]
    pub pools: Option<engine::Config>,
    /// The admin listener; absent turns it off.
    #[serde(default)]
    pub admin: Option<Admin>,
    /// Access log, decision records, level.
    #[serde(default)]
    pub log: Log,
    /// OpenTelemetry traces of requests; none when absent.
    #[serde(default)]
    pub traces: Option<Traces>,
    /// Peers (CIDR) whose word on who is behind them is believed.
    #[serde(default)]
    #[serde(deserialize_with = "form::networks")]
    #[schemars(with = "Vec<String>")]
    pub trusted_peers: Vec<ipnet::IpNet>,
    /// The header in which they say it.
    #[serde(default)]
    pub trusted_header: TrustedHeader,
    /// A folder for what the gate keeps for itself, as the last good key sets; the settings' own folder when absent.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// What bounds the verification of tokens.
    #[serde(default)]
    pub tokens: Tokens,
    /// What callers may send, hold open and take, and for how long.
    #[serde(default)]
    pub limits: Limits,
}

/// In which header trusted peers say who is behind them. The other one is not believed: a proxy hands on what it does not
/// write, whoever has written it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustedHeader {
    /// `X-Forwarded-For`, `-Proto` and others that begin so.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A scheme of URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Plain.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it stands in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of URLs that name none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The admin listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port; port 0 lets the kernel choose.
    #[serde(deserialize_with = "form::address")]
    pub address: SocketAddr,
}

/// What bounds the verification of tokens.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// Larger tokens are refused unread, in bytes.
    pub max_bytes: u32,
    /// How far the clocks of issuers may differ, in seconds.
    pub leeway_seconds: u16,
    /// Memory for tokens already verified, in bytes; about a kilobyte each.
    pub remembered_bytes: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024,
            leeway_seconds: 5,
            remembered_bytes: 128 * 1024 * 1024,
        }
    }
}
