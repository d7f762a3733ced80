//! Limits as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What callers may send, hold open and take, and for how long; read at the start only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of all callers; never more than 45 % of the process's file descriptors, which is the default.
    pub connections: Option<u32>,
    /// Open connections of one client address, trusted peers excepted; a quarter of `connections`, at most 1024, when absent.
    pub connections_per_client: Option<u32>,
    /// Requests to upstreams under way for all callers; never more than 30 % of the process's file descriptors, which is the
    /// default.
    pub requests: Option<u32>,
    /// Requests to upstreams under way for one client address, trusted peers excepted; a quarter of `requests`, at most 1024,
    /// when absent.
    pub requests_per_client: Option<u32>,
    /// Requests that one connection may bring; then it ends.
    pub requests_per_connection: u32,
    /// Header fields of a request.
    pub header_fields: u16,
    /// Names and values of all header fields and the target, in bytes.
    pub header_bytes: u32,
    /// For how long a head may take from its first byte to its last, in seconds; the first one from the connection on.
    pub header_seconds: u16,
    /// Path and query, in bytes.
    pub target_bytes: u32,
    /// The body of a request to an upstream, in bytes, where its route says nothing else.
    pub body_bytes: u64,
    /// For how long the sender of a body to an upstream may be silent, in seconds.
    pub body_idle_seconds: u16,
    /// Streams open at once on an HTTP/2 connection.
    pub http2_streams: u32,
    /// Requests that the caller may break off within a minute on one HTTP/2 connection; one more ends it.
    pub http2_resets: u32,
    /// After SIGTERM, for how long connections are still taken while `/readyz` says that they should go elsewhere, in seconds.
    pub drain_wait_seconds: u16,
    /// For how long requests under way may go on after that, in seconds.
    pub drain_seconds: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_client: None,
            requests: None,
            requests_per_client: None,
            requests_per_connection: 100_000,
            header_fields: 100,
            header_bytes: 64 * 1024,
            header_seconds: 8,
            target_bytes: 16 * 1024,
            body_bytes: 100 * 1024 * 1024,
            body_idle_seconds: 60,
            http2_streams: 128,
            http2_resets: 200,
            drain_wait_seconds: 0,
            drain_seconds: 30,
        }
    }
}
