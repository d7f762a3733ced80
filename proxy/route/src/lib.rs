//! The routing table: host, path template and method to exactly one route.
//!
//! Stands between admission and identification on a request's way. Pure: no I/O, no async, nothing of ours below it.

mod template;

pub use template::PathTemplate;

/// What a request must look like for a route to apply, as written under `match:` in the settings.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Host name; `*.example.com` takes one label in front; absent takes every host.
    #[serde(default)]
    pub host: Option<String>,
    /// Path template: `{name}` is one segment, `{name*}` the rest; absent takes every path.
    #[serde(default)]
    pub path: Option<String>,
    /// Methods; empty takes every method.
    #[serde(default)]
    pub methods: Vec<String>,
}
