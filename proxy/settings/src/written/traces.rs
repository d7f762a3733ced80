//! Traces as they are written: where spans go, and of which requests.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `OpenTelemetry` traces.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// A collector that takes OTLP over HTTP in protobuf: its base URL as `http://127.0.0.1:4318`, behind which
    /// `/v1/traces` is put, or one that ends so.
    pub otlp: String,
    /// Header fields that go with the spans, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, TraceHeader>,
    /// A PEM file of the only certificate authorities that may vouch for the collector; the machine's when absent.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Which share of requests is recorded, 0.0 to 1.0, where no caller has decided who is believed in that.
    #[serde(default = "whole")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// `service.name` of the spans.
    #[serde(default = "product")]
    pub service_name: String,
    /// What is believed of the `traceparent` that a caller sends.
    #[serde(default)]
    pub trust_parent: TrustParent,
}

/// The value of a header field, which may be a secret.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TraceHeader {
    /// The content of a file, trailing newline aside.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
    /// The value itself; for what is no secret.
    Value(String),
}

/// What is believed of a caller's `traceparent`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustParent {
    /// Of everybody which trace it is, of `trusted_peers` also whether it is recorded.
    #[default]
    TraceId,
    /// Of everybody all of it.
    All,
    /// Of `trusted_peers` all of it. The others' requests begin traces of their own, with a link to what was sent.
    TrustedPeers,
}

/// Shows no value.
impl fmt::Debug for TraceHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::Value(_) => f.debug_tuple("Value").finish_non_exhaustive(),
        }
    }
}

fn whole() -> f64 {
    1.0
}

fn product() -> String {
    "portcullis".into()
}
