//! The routing table: host, path and method to exactly one route.
//!
//! Stands between admission and identification on a request's way. Pure: no I/O, no async, nothing of ours below it.
//!
//! Of all routes whose host and path take a request, the most specific wins: first by host (exact, then `*.example.com`,
//! then every host), then by path, segment by segment from the left (literal, then `{name}`, then `{name*}`). Only then is
//! the method looked at, so a method that the winner lacks is [`Found::MethodNotAllowed`], never the next route. A trailing
//! slash is a segment of its own: `/pets` and `/pets/` are two paths.

mod host;
mod octet;
mod problem;
mod table;
mod template;
mod tree;

pub use host::host;
pub use octet::{decodes_twice, is_plain, push_octet};
pub use problem::{Place, Problem};
pub use table::{Found, Route, Table};
pub use template::{Params, Template};

/// What a request must look like for a route to apply, as written under `match:` in the settings.
#[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Host name without port; `*.example.com` takes one label in front; absent takes every host.
    #[serde(default)]
    pub host: Option<String>,
    /// Path template: `{name}` is one segment, `{name*}` the rest; absent takes every path, as `/{path*}` does.
    #[serde(default)]
    pub path: Option<String>,
    /// Methods; empty takes every method that no other route of the same host and path lists.
    #[serde(default)]
    pub methods: Vec<String>,
}
