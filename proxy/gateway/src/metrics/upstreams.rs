//! Upstreams: their servers' health, and connections in use.

use prometheus::{IntCounterVec, IntGaugeVec, Result};
use settings::Upstream;

use super::{mirror::keep, register::Register};

/// The labels of a server's health.
const LABELS: [&str; 2] = ["upstream", "server"];

pub(super) fn connections(r: &Register<'_>) -> Result<IntGaugeVec> {
    r.gauges("upstream_connections", "Connections in use.", &["upstream"])
}

pub(super) fn healthy(r: &Register<'_>) -> Result<IntGaugeVec> {
    r.gauges("upstream_healthy", "Whether a server is well.", &LABELS)
}

pub(super) fn ejections(r: &Register<'_>) -> Result<IntCounterVec> {
    let help = "Times that a server was left alone for a while, as requests to it failed.";
    r.counters("upstream_ejections_total", help, &["upstream"])
}

/// Shows the health of these upstreams' servers alone.
pub(super) fn keep_servers(healthy: &IntGaugeVec, upstreams: &[Upstream]) {
    let servers = upstreams.iter().flat_map(|upstream| {
        let servers = upstream.servers.iter().map(ToString::to_string);
        servers.map(|server| (upstream.name.as_str(), server))
    });
    let servers: Vec<_> = servers.collect();
    keep(healthy, LABELS, |[upstream, server]| {
        let mut servers = servers.iter();
        servers.any(|(name, label)| name == upstream && label == server)
    });
}
