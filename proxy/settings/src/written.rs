//! The settings as they are written: what serde reads and the JSON schema describes. Nothing here is checked beyond its
//! type; [`crate::load`] makes [`crate::Settings`] of it.

mod form;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
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
    /// Who signs the tokens that routes accept, by name.
    #[serde(default)]
    pub issuers: BTreeMap<String, token::Config>,
    /// Cedar policy directories, by name.
    #[serde(default)]
    pub policies: BTreeMap<String, decision::Config>,
    /// Services behind the gate, by name.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Upstream>,
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
    /// Peers (CIDR) whose `X-Forwarded-*` headers are believed.
    #[serde(default)]
    #[serde(deserialize_with = "form::networks")]
    #[schemars(with = "Vec<String>")]
    pub trusted_peers: Vec<ipnet::IpNet>,
    /// A folder for what the gate keeps for itself, as the last good key sets; the settings' own folder when absent.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// What bounds the verification of tokens.
    #[serde(default)]
    pub tokens: Tokens,
    /// What callers may hold open, and for how long.
    #[serde(default)]
    pub limits: Limits,
}

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

/// A service behind the gate.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// `http://host:port` or `https://host:port`.
    pub servers: Vec<String>,
    /// A path that answers 2xx when the server is well; absent for no health checks.
    #[serde(default)]
    pub health: Option<String>,
}

/// One route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name in logs, metrics and records; made from `match` when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// When it applies.
    pub r#match: route::Match,
    /// The embedded engine serves it (then nothing below is said).
    #[serde(default)]
    pub serve: Option<Serve>,
    /// How a caller proves who it is.
    #[serde(default)]
    pub authenticate: Option<Authenticate>,
    /// What decides.
    #[serde(default)]
    pub authorize: Option<Authorize>,
    /// Where permitted requests go.
    #[serde(default)]
    pub upstream: Option<Forward>,
}

/// What of our own a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serve {
    /// The AWS protocols, keys, discovery (and later pages) of the embedded pools.
    Pools,
}

/// How a caller proves who it is: `none` or `{bearer: {...}}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authenticate {
    /// Nobody is asked.
    None,
    /// `Authorization: Bearer` with a JWT.
    Bearer(Bearer),
}

/// Which tokens a route takes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// Names under `issuers`.
    pub issuers: Vec<String>,
    /// Cognito token kinds accepted; empty means access tokens only.
    #[serde(default)]
    pub token_use: Vec<token::TokenUse>,
    /// Scopes of which one must be in the token; empty asks for none.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Claims that must have one of the given values.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<String>>,
}

/// What decides: `none`, `authenticated`, or `{policies: NAME, ...}`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Authorize {
    /// `none` or `authenticated`.
    Word(AuthorizeWord),
    /// Cedar.
    Policies(Policies),
}

/// The two authorisations that ask no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizeWord {
    /// Everybody.
    None,
    /// Everybody who proved who they are.
    Authenticated,
}

/// Cedar decides.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// A name under `policies`.
    pub policies: String,
    /// Cedar action id; `"<method lower> <path template>"` when absent.
    #[serde(default)]
    pub action: Option<String>,
    /// `Type::"id"` with `{pathParameter}` inside the id; the policy set's application when absent.
    #[serde(default)]
    pub resource: Option<String>,
    /// Request headers that policies may read in `context.headers`.
    #[serde(default)]
    pub headers: Vec<String>,
}

/// Where a permitted request goes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// A name under `upstreams`.
    pub to: String,
    /// Headers set from the verified token: name to template, as `{claims.sub}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// The admin listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port; port 0 lets the kernel choose.
    #[serde(deserialize_with = "form::address")]
    pub address: SocketAddr,
}

/// Logs and records.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level as `info`, or a `tracing` filter as `warn,portcullis=debug`; `info` when absent.
    pub level: Option<String>,
    /// Decision records' file; standard output when absent.
    pub decisions: Option<PathBuf>,
    /// The log's file; standard error when absent.
    pub file: Option<PathBuf>,
}

/// What bounds the verification of tokens.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// Larger tokens are refused unread, in bytes.
    pub max_bytes: u32,
    /// How far the clocks of issuers may differ, in seconds.
    pub leeway_seconds: u16,
    /// Memory for tokens already verified, in bytes.
    pub remembered_bytes: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024,
            leeway_seconds: 5,
            remembered_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What callers may hold open, and for how long; read at the start only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of all callers; never more than 45 % of the process's file descriptors, which is the default.
    pub connections: Option<u32>,
    /// Open connections of one client address, trusted peers excepted; a quarter of `connections`, at most 1024, when absent.
    pub connections_per_client: Option<u32>,
    /// For how long the sender of a body to an upstream may be silent, in seconds.
    pub body_idle_seconds: u16,
    /// For how long requests under way may go on after SIGTERM, in seconds.
    pub drain_seconds: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_client: None,
            body_idle_seconds: 60,
            drain_seconds: 30,
        }
    }
}

impl<'de> Deserialize<'de> for Authorize {
    /// By hand, since serde's untagged enums lose the place of what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Authorize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `authenticated` or a mapping with `policies`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Authorize, E> {
                match word {
                    "none" => Ok(Authorize::Word(AuthorizeWord::None)),
                    "authenticated" => Ok(Authorize::Word(AuthorizeWord::Authenticated)),
                    _ => Err(E::invalid_type(Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Authorize, A::Error> {
                Policies::deserialize(MapAccessDeserializer::new(entries)).map(Authorize::Policies)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
