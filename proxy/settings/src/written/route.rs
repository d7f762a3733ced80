//! A route as it is written: who is asked, what decides, where it leads.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::{Cors, Redirect, Respond, RouteLimit};

/// One route: it says one of `serve`, `upstream`, `redirect` and `respond`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name in logs, metrics and records; made from `match` when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// When it applies.
    pub r#match: ::route::Match,
    /// How many requests it takes, of whom; each must have one left. Those by `route` and `client_ip` count before anybody
    /// is identified.
    #[serde(default)]
    pub rate_limits: Vec<RouteLimit>,
    /// Which pages of other origins may use it; when absent the gate answers no preflight and leaves headers alone.
    #[serde(default)]
    pub cors: Option<Cors>,
    /// The embedded engine serves it (then nothing below is said, nor `cors`).
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
    /// Where callers are sent instead, all of them (then neither `authenticate` nor `authorize` is said).
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// What the gate itself answers to permitted requests instead.
    #[serde(default)]
    pub respond: Option<Respond>,
    /// What is admitted here and refused elsewhere.
    #[serde(default)]
    pub admit: Admit,
    /// The longest body, in bytes; `limits.body_bytes` when absent.
    #[serde(default)]
    pub body_bytes: Option<u64>,
}

/// What of our own a route serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serve {
    /// The AWS protocols, keys, discovery (and later pages) of the embedded pools.
    Pools,
}

/// What a route admits though other routes refuse it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admit {
    /// Rules that do not hold here, because the upstream needs what they refuse. Policies and the upstream see it as it is.
    pub allow: Vec<Allow>,
}

/// A rule of admission that a route may let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// An encoded slash in a path, which stays `%2F`.
    EncodedSlash,
    /// A backslash in a path, encoded or not; it goes on as `%5C`.
    Backslash,
    /// A `;` in a path, which stays as it is, encoded or not.
    Semicolon,
    /// An escape of an escape in a path, as `%252F`, which stays so.
    DoubleEncoding,
    /// Empty segments in a path, as in `//`.
    EmptySegment,
    /// Header names that differ from another one's in punctuation only, as `x_tenant` beside `x-tenant`.
    HeaderAlias,
}

impl Allow {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::EncodedSlash,
        Self::Backslash,
        Self::Semicolon,
        Self::DoubleEncoding,
        Self::EmptySegment,
        Self::HeaderAlias,
    ];

    /// Its name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EncodedSlash => "encoded_slash",
            Self::Backslash => "backslash",
            Self::Semicolon => "semicolon",
            Self::DoubleEncoding => "double_encoding",
            Self::EmptySegment => "empty_segment",
            Self::HeaderAlias => "header_alias",
        }
    }
}

/// How a caller proves who it is: `none` or `{bearer: {...}}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authenticate {
    /// Nobody is asked.
    None,
    /// A JWT, as `Authorization: Bearer` where nothing else is said.
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
    /// Where the token may stand: `header`, `{cookie: NAME}`, `{query: NAME}`; the header alone when absent. In a cookie it
    /// comes with whatever request another site makes a browser send: docs/operations.md.
    #[serde(default)]
    pub from: Option<Vec<TokenPlace>>,
}

/// Where a token may stand in a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    Header,
    /// The cookie of that name, which the upstream does not get.
    Cookie(String),
    /// The query parameter of that name, which the upstream does not get.
    Query(String),
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
    /// The path that goes there in the place of the request's, with parameters of the route's own: `/v2/{rest*}`. Policies
    /// see the path as it came.
    #[serde(default)]
    pub path: Option<String>,
    /// The host that is asked for there, with a port where it is not the usual one; the caller's when absent.
    #[serde(default)]
    pub host: Option<String>,
    /// Headers that tell who calls, and for what: name to template, as `{claims.sub}` of the verified token,
    /// `{certificate.subject}`, `{path.petId}` or `{request.host}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Header fields of the request that do not go there.
    #[serde(default)]
    pub remove: Vec<String>,
    /// What is changed in its answers.
    #[serde(default)]
    pub answer: Answer,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether a request may go on as WebSocket; when absent such requests are answered as others.
    #[serde(default)]
    pub websocket: bool,
}

/// What is changed in the answers of an upstream.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// Header fields that are set: name to value.
    pub headers: BTreeMap<String, String>,
    /// Header fields that are taken away.
    pub remove: Vec<String>,
}

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To be connected to, TLS apart.
    pub connect_seconds: u32,
    /// Until the answer begins, and between two octets in either direction; streams may be silent for an hour.
    pub silence_seconds: u32,
    /// Until the answer is whole; a WebSocket is not bound by it. Any time when absent.
    pub total_seconds: Option<u32>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_seconds: 3,
            silence_seconds: 60,
            total_seconds: None,
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
