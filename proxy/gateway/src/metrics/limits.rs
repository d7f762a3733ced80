//! Metrics of what is over a limit.

use prometheus::{IntCounterVec, Result};

use super::register::Register;

/// Counts requests that a limit refused.
pub(super) fn refused(r: &Register<'_>) -> Result<IntCounterVec> {
    r.counters(
        "rate_limited_total",
        "Requests that a rate limit refused.",
        &["route", "limit"],
    )
}

/// Counts newcomers to a limit whose buckets were all in use.
pub(super) fn crowded(r: &Register<'_>) -> Result<IntCounterVec> {
    r.counters(
        "rate_limit_crowded_total",
        "Newcomers that shared a bucket, since the limit's were all in use.",
        &["limit"],
    )
}

/// Counts connections that were ended.
pub(super) fn connections_ended(r: &Register<'_>) -> Result<IntCounterVec> {
    r.counters(
        "connections_ended_total",
        "Connections that were ended for what their callers did.",
        &["why"],
    )
}

/// Counts requests over a limit of those under way.
pub(super) fn requests_refused(r: &Register<'_>) -> Result<IntCounterVec> {
    r.counters(
        "requests_refused_total",
        "Requests over a limit of those under way.",
        &["why"],
    )
}
