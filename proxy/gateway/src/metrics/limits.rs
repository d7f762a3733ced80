//! What is over a limit: connections, requests under way, rates.

use prometheus::{IntCounter, IntCounterVec, Result};

use super::register::Register;
use crate::listen::{Refused, Untold};

/// Metrics of what is over a limit; cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    connections_refused: IntCounterVec,
    connections_ended: IntCounterVec,
    requests_refused: IntCounterVec,
    rate_limited: IntCounterVec,
    rate_limit_crowded: IntCounterVec,
}

impl Limits {
    pub(super) fn new(r: &Register<'_>) -> Result<Self> {
        Ok(Self {
            connections_refused: r.counters(
                "connections_refused_total",
                "Connections over a limit, closed at once.",
                &["why"],
            )?,
            connections_ended: r.counters(
                "connections_ended_total",
                "Connections that were ended for what their callers did.",
                &["why"],
            )?,
            requests_refused: r.counters(
                "requests_refused_total",
                "Requests over a limit of those under way.",
                &["why"],
            )?,
            rate_limited: r.counters(
                "rate_limited_total",
                "Requests that a rate limit refused.",
                &["route", "limit"],
            )?,
            rate_limit_crowded: r.counters(
                "rate_limit_crowded_total",
                "Newcomers that shared a bucket, since the limit's were all in use.",
                &["limit"],
            )?,
        })
    }

    /// The counters of connections over a limit, at zero until there are any.
    pub(crate) fn connections(&self) -> Refused {
        refused(&self.connections_refused)
    }

    /// The counters of requests over a limit, at zero until there are any.
    pub(crate) fn requests(&self) -> Refused {
        refused(&self.requests_refused)
    }

    /// The counters of connections without a valid header of the PROXY protocol, at zero until there are any.
    pub(crate) fn untold(&self) -> Untold {
        let why = |why| self.connections_refused.with_label_values(&[why]);
        Untold {
            sender: why("sender"),
            header: why("proxy_header"),
        }
    }

    /// The counter of connections that were ended because their callers broke off too many requests.
    pub(crate) fn reset_too_often(&self) -> IntCounter {
        self.connections_ended.with_label_values(&["resets"])
    }

    /// The counter of requests that a limit refuses on a route.
    pub(crate) fn rate_limited(&self, route: &str, limit: &str) -> IntCounter {
        self.rate_limited.with_label_values(&[route, limit])
    }

    /// The counter of newcomers that share a bucket of a limit.
    pub(crate) fn rate_limit_crowded(&self, limit: &str) -> IntCounter {
        self.rate_limit_crowded.with_label_values(&[limit])
    }
}

fn refused(counters: &IntCounterVec) -> Refused {
    let why = |why| counters.with_label_values(&[why]);
    Refused {
        total: why("total"),
        client: why("client"),
    }
}
