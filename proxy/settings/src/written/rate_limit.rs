//! Rate limits as they are written: how many requests of whom in what time.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A rate limit: buckets that hold `burst` requests and fill up at `requests` in `per_seconds`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Its name in answers, records and metrics, on a route; what it counts by when absent. Under `rate_limits` the key is
    /// the name.
    #[serde(default)]
    pub name: Option<String>,
    /// Whose requests share a bucket.
    pub by: By,
    /// How many requests may come in `per_seconds`, in the long run.
    pub requests: u32,
    /// The time that `requests` is for.
    pub per_seconds: u32,
    /// How many requests may come at once; `requests` when absent.
    #[serde(default)]
    pub burst: Option<u32>,
    /// How many buckets are kept apart, each in about 18 bytes; 65536 when absent. Where more are in use, newcomers share.
    #[serde(default)]
    pub keys: Option<u32>,
    /// Whether answers say the limit and what is left of it in `RateLimit` headers. `Retry-After` is said in any case.
    #[serde(default = "yes")]
    pub announce: bool,
}

/// Whose requests share a bucket of a rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Everybody's: one bucket for the route, or for all routes that name the limit.
    Route,
    /// Those of one IPv4 address or IPv6 /64.
    ClientIp,
    /// Those of one caller, as policies know it; tokens that do not name their caller share one bucket.
    Principal,
    /// Those of tokens of one issuer that have the same text, number or truth value in this claim; tokens without one share
    /// one bucket.
    Claim(String),
}

/// A rate limit of a route: the name of one under `rate_limits`, or one of its own.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum RouteLimit {
    /// A name under `rate_limits`, which other routes may share.
    Shared(String),
    /// For this route alone.
    Own(RateLimit),
}

impl<'de> Deserialize<'de> for RouteLimit {
    /// By hand, since serde's untagged enums lose the place of what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RouteLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name under `rate_limits` or a mapping with `by`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<RouteLimit, E> {
                Ok(RouteLimit::Shared(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<RouteLimit, A::Error> {
                RateLimit::deserialize(MapAccessDeserializer::new(entries)).map(RouteLimit::Own)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn yes() -> bool {
    true
}
