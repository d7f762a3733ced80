//! A route's answer to pages of other origins, as it is written.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

/// Which pages of other origins may use a route: `pass` or `{origins: [...], ...}`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Cors {
    /// `pass`.
    Word(CorsWord),
    /// The gate answers.
    Answer(CorsRules),
}

/// The gate leaves CORS to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CorsWord {
    /// The upstream answers: preflights go there without a token, and its headers are left alone.
    Pass,
}

/// What the gate answers to pages of other origins, as the Fetch standard has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsRules {
    /// Origins as browsers write them, as `https://app.example.com`; `https://*.example.com` for any one label in that place,
    /// `*` alone for every origin, `null` for pages without one.
    #[schemars(length(min = 1))]
    pub origins: Vec<String>,
    /// Methods, of those that the route takes; all of those when absent.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Request headers beyond those that are always allowed, as `authorization`; `*` alone for any.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Headers of answers that pages may read beyond those they always may; `*` alone for any, without `credentials`.
    #[serde(default)]
    pub expose: Vec<String>,
    /// Whether requests may come with cookies and the like, which a bearer token is not.
    #[serde(default)]
    pub credentials: bool,
    /// For how long browsers may remember the answer to a preflight; 5 s by their own rule when absent.
    #[serde(default)]
    pub max_age_seconds: Option<u32>,
}

impl<'de> Deserialize<'de> for Cors {
    /// By hand, since serde's untagged enums lose the place of what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Cors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`pass` or a mapping with `origins`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Cors, E> {
                match word {
                    "pass" => Ok(Cors::Word(CorsWord::Pass)),
                    _ => Err(E::invalid_type(Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Cors, A::Error> {
                CorsRules::deserialize(MapAccessDeserializer::new(entries)).map(Cors::Answer)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
