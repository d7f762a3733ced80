//! What the gate answers by itself, as it is written: where callers are sent, and static answers.

use std::{collections::BTreeMap, fmt, num::NonZeroU16, path::PathBuf};

use http::StatusCode;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::{Scheme, form};

/// Where the callers of a route are sent; at least one of its parts is said. The query goes along as it came.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `http` or `https`; that of the request when absent.
    #[serde(default)]
    pub scheme: Option<Scheme>,
    /// Host name or address, without a port; that of the request when absent.
    #[serde(default)]
    pub host: Option<String>,
    /// The port; the scheme's own when absent and `scheme` or `host` says otherwise than the request.
    #[serde(default, deserialize_with = "form::port")]
    #[schemars(with = "Option<NonZeroU16>")]
    pub port: Option<NonZeroU16>,
    /// Path template with parameters of `match.path`; the path of the request when absent.
    #[serde(default)]
    pub path: Option<String>,
    /// 301, 302, 307 or 308, the default. After 301 and 302 clients turn POST into GET; 301 and 308 are remembered.
    #[serde(default)]
    pub status: RedirectStatus,
}

/// A status that sends callers elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "u16", extend("enum" = [301, 302, 307, 308]))]
pub enum RedirectStatus {
    /// 301
    MovedPermanently,
    /// 302
    Found,
    /// 307
    Temporary,
    /// 308
    #[default]
    Permanent,
}

/// Where a plain listener sends callers who came without TLS, instead of serving them: `https`, or
/// `{scheme: https, port: …, status: …}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum ListenerRedirect {
    /// To the usual port.
    Word(Https),
    /// To another port, or with another status.
    To(ToHttps),
}

/// The one scheme that a listener sends callers to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Https {
    /// `https`
    #[default]
    Https,
}

/// To the same host, path and query over TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToHttps {
    /// `https`
    pub scheme: Https,
    /// Where callers reach the listener with TLS; 443 when absent.
    #[serde(default, deserialize_with = "form::port")]
    #[schemars(with = "Option<NonZeroU16>")]
    pub port: Option<NonZeroU16>,
    /// 301, 302, 307 or 308, the default.
    #[serde(default)]
    pub status: RedirectStatus,
}

/// A static answer, which the gate gives to those whom the route permits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 599; 200 when absent.
    #[serde(default = "ok")]
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// Its header fields, without those that say how it is sent and what it holds.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its content, as text.
    #[serde(default)]
    pub body: Option<String>,
    /// A file with its content, at most 1 MiB; read with the settings, and anew when it changes.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// What the content is; `text/plain; charset=utf-8` for a `body` when absent.
    #[serde(default)]
    pub content_type: Option<String>,
}

impl ListenerRedirect {
    /// What it comes to.
    pub fn to_https(self) -> ToHttps {
        match self {
            Self::Word(Https::Https) => ToHttps::default(),
            Self::To(to) => to,
        }
    }
}

impl From<RedirectStatus> for StatusCode {
    fn from(status: RedirectStatus) -> Self {
        match status {
            RedirectStatus::MovedPermanently => Self::MOVED_PERMANENTLY,
            RedirectStatus::Found => Self::FOUND,
            RedirectStatus::Temporary => Self::TEMPORARY_REDIRECT,
            RedirectStatus::Permanent => Self::PERMANENT_REDIRECT,
        }
    }
}

impl<'de> Deserialize<'de> for RedirectStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            307 => Ok(Self::Temporary),
            308 => Ok(Self::Permanent),
            _ => Err(de::Error::custom("must be 301, 302, 307 or 308")),
        }
    }
}

impl<'de> Deserialize<'de> for ListenerRedirect {
    /// By hand, since serde's untagged enums lose the place of what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ListenerRedirect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`https` or a mapping with `scheme`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ListenerRedirect, E> {
                match word {
                    "https" => Ok(ListenerRedirect::Word(Https::Https)),
                    _ => Err(E::invalid_type(Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                entries: A,
            ) -> Result<ListenerRedirect, A::Error> {
                ToHttps::deserialize(MapAccessDeserializer::new(entries)).map(ListenerRedirect::To)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn ok() -> u16 {
    200
}
