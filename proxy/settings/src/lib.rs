//! Settings: one YAML file, read whole, every problem reported at once, composed of each crate's own `Config`.
//!
//! [`load`] goes from text to a tree, from the tree to what is [`written`], and from that to [`Settings`], in which every
//! name refers to something, every path is absolute, every secret is read and nothing is left to check.

mod check;
mod cors;
mod header;
mod issuer;
mod limits;
mod lines;
mod listener;
mod load;
mod log;
mod mend;
mod naming;
mod pem;
mod place;
mod pools;
mod problem;
mod rate_limit;
mod route;
mod schema;
mod secret;
mod traces;
mod tree;
mod upstream;
pub mod written;

use std::{net::SocketAddr, num::NonZeroU8, path::PathBuf};

pub use cors::{Allowed, Cors, CorsRules, Origins};
pub use header::{HeaderSource, RequestField, Template};
pub use issuer::{Issuer, Remote, Revocations};
pub use lines::Lines;
pub use load::load;
pub use place::Place;
pub use pools::{Operator, Pools};
pub use problem::{Problem, Problems};
pub use rate_limit::{RateLimit, RouteLimit};
pub use route::{
    Access, Answer, Authorize, Bearer, Guarded, Handling, Policies, REFUSED_METHODS, Redirect,
    Respond, Rewrite, Route, TokenPlace,
};
pub use schema::schema;
pub use traces::Traces;
pub use upstream::{
    Address, ClientCertificate, Protocol, Scheme, Server, Tls as UpstreamTls, Upstream,
};
pub use written::{
    AccessFormat, AccessLog, Allow, Balance, By, Certificate, ClientCertificateMode,
    ClientCertificates, Decisions, Eject, HashKey, HealthCheck, Limits, Listener, ListenerRedirect,
    Log, Output, ProxyProtocol, Timeouts, Tls, TrustParent, TrustedHeader, UpstreamLimits,
};

/// Settings in which nothing is left to check.
#[derive(Debug)]
pub struct Settings {
    /// The file they come from, absolute.
    pub file: PathBuf,
    /// A folder for what the gate keeps for itself, absolute; not necessarily there.
    pub data: PathBuf,
    /// Where the gate listens; at least one, no two alike.
    pub listeners: Vec<Listener>,
    /// Threads that serve requests; as many as there are processors when absent.
    pub workers: Option<NonZeroU8>,
    /// The admin listener.
    pub admin: Option<SocketAddr>,
    /// Logs and records.
    pub log: Log,
    /// Spans of requests, where somebody collects them.
    pub traces: Option<Traces>,
    /// Peers whose word on who is behind them is believed.
    pub trusted_peers: Vec<ipnet::IpNet>,
    /// Where they say who is behind them.
    pub trusted_header: TrustedHeader,
    /// What bounds the verification of tokens.
    pub tokens: token::Limits,
    /// What callers may hold open, and for how long.
    pub limits: Limits,
    /// Who signs the tokens that routes accept.
    pub issuers: Vec<Issuer>,
    /// Cedar policy directories, by name.
    pub policies: Vec<(String, decision::Config)>,
    /// Services behind the gate.
    pub upstreams: Vec<Upstream>,
    /// Rate limits that several routes may share.
    pub rate_limits: Vec<RateLimit>,
    /// What is let through; a [`::route::Table`] of their names and matches can be built.
    pub routes: Vec<Route>,
    /// The embedded engine.
    pub pools: Option<Pools>,
    /// Where everything is written, for problems that show when it is used.
    pub lines: Lines,
    /// What is odd, but may be meant.
    pub warnings: Vec<Problem>,
    /// The files and folders whose content counts, this one first: policies, certificates, keys and secrets.
    pub files: Vec<PathBuf>,
}
