//! Services behind the gate as they are written: their servers, and how requests are spread over them.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A service behind the gate.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// `http://host:port`, `https://host:port` or `unix:/path`. A name is looked up again and again, and each of its
    /// addresses is a server.
    pub servers: Vec<String>,
    /// The version of HTTP its servers are spoken to in; when absent they choose with TLS, and without it is HTTP/1.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// Which server a request goes to, of those that are well.
    #[serde(default)]
    pub balance: Balance,
    /// A path that answers 2xx when the server is well, or a mapping with `path`; absent for no health checks.
    #[serde(default)]
    pub health: Option<Health>,
    /// When a server is left alone for a while because requests to it fail.
    #[serde(default)]
    pub eject: Eject,
    /// For how long a server that has become well takes fewer requests than others, at first one of ten; 0 when absent.
    #[serde(default)]
    pub slow_start_seconds: u32,
    /// How much it takes at once.
    #[serde(default)]
    pub limits: UpstreamLimits,
    /// TLS to its servers, where it is not that of the public.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, which gRPC asks for; without TLS by prior knowledge (RFC 9113 section 3.3).
    Http2,
}

/// Which of several servers a request goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastConnections,
    /// Always the same for the same key, as long as it is well; where servers come and go, few keys move. A request without
    /// the key goes to each in turn.
    Hash(HashKey),
}

/// What of a request chooses its server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashKey {
    /// Who sent it.
    ClientIp,
    /// The path, without the query.
    Path,
    /// The caller, as policies know it.
    Principal,
    /// The value of this header field.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

/// How it is found out whether a server is well: a path alone, or a mapping.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Health {
    /// What is asked for, and all else as it is when absent.
    Path(String),
    /// Everything.
    Check(HealthCheck),
}

/// How it is found out whether a server is well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked for, with GET; it answers 2xx when the server is well.
    pub path: String,
    /// Between two checks; 5 when absent.
    #[serde(default = "five")]
    pub every_seconds: u16,
    /// Within which the answer must come; 2 when absent.
    #[serde(default = "two")]
    pub timeout_seconds: u16,
    /// Checks in a row that must fail before a server counts as ill; 2 when absent.
    #[serde(default = "two")]
    pub fall: u16,
    /// Checks in a row that must pass before it counts as well again; 1 when absent.
    #[serde(default = "one")]
    pub rise: u16,
}

/// When a server is left alone for a while because requests to it fail: no connection, an answer that breaks off or does not
/// come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Eject {
    /// Failures in a row; 0 for never.
    pub failures: u16,
    /// For how long; the second time in a row for twice as long, and so on up to ten times.
    pub seconds: u16,
    /// Answers that are failures too, as 503.
    pub statuses: Vec<u16>,
    /// Of a hundred servers, how many may be left alone at a time; one always may, if there are others.
    pub most_percent: u8,
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            failures: 5,
            seconds: 10,
            statuses: Vec::new(),
            most_percent: 50,
        }
    }
}

/// How much an upstream takes at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamLimits {
    /// Requests under way at each server; streams count for as long as they are open. Any number when
    /// absent.
    pub connections: Option<u32>,
    /// Requests that wait until a server takes them; others are answered with 503.
    pub pending: u32,
    /// For how long they wait.
    pub pending_seconds: u16,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connections: None,
            pending: 100,
            pending_seconds: 5,
        }
    }
}

/// TLS to an upstream's servers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// Certificate authorities (PEM) that are trusted in the place of the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The name that servers' certificates are checked against, and that is asked for; each server's own when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// The gate's own certificate, for servers that ask for one.
    #[serde(default)]
    pub certificate: Option<super::Certificate>,
}

impl From<String> for HealthCheck {
    fn from(path: String) -> Self {
        Self {
            path,
            every_seconds: five(),
            timeout_seconds: two(),
            fall: two(),
            rise: one(),
        }
    }
}

impl<'de> Deserialize<'de> for Health {
    /// By hand, since serde's untagged enums lose the place of what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Health;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a mapping with `path`")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Health, E> {
                Ok(Health::Path(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Health, A::Error> {
                HealthCheck::deserialize(MapAccessDeserializer::new(entries)).map(Health::Check)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn one() -> u16 {
    1
}

fn two() -> u16 {
    2
}

fn five() -> u16 {
    5
}
