//! What callers may send, hold open and take, checked.

use std::ops::RangeInclusive;

use crate::{Place, check::Check, written::Limits};

pub(crate) fn check(limits: Limits, check: &mut Check<'_>) -> Limits {
    let place = Place::from("limits");
    for (name, value) in [
        ("connections", limits.connections),
        ("connections_per_client", limits.connections_per_client),
        ("requests", limits.requests),
        ("requests_per_client", limits.requests_per_client),
    ] {
        if value == Some(0) {
            check.report(&place.key(name), "must be 1 or more; nobody could connect");
        }
    }
    for (name, value, range) in ranges(&limits) {
        if !range.contains(&value) {
            let (from, to) = range.into_inner();
            check.report(&place.key(name), format!("must be between {from} and {to}"));
        }
    }
    if limits.target_bytes > limits.header_bytes {
        check.report(
            &place.key("target_bytes"),
            "is more than `header_bytes`, which the target counts in",
        );
    }
    limits
}

/// The parser below takes 256 fields and 1 MiB.
fn ranges(limits: &Limits) -> [(&'static str, u32, RangeInclusive<u32>); 10] {
    [
        (
            "requests_per_connection",
            limits.requests_per_connection,
            1..=u32::MAX,
        ),
        ("header_fields", limits.header_fields.into(), 8..=250),
        ("header_bytes", limits.header_bytes, 1024..=1024 * 1024),
        ("header_seconds", limits.header_seconds.into(), 1..=600),
        ("target_bytes", limits.target_bytes, 64..=1024 * 1024),
        (
            "body_idle_seconds",
            limits.body_idle_seconds.into(),
            1..=3600,
        ),
        ("http2_streams", limits.http2_streams, 1..=10_000),
        ("http2_resets", limits.http2_resets, 1..=1_000_000),
        (
            "drain_wait_seconds",
            limits.drain_wait_seconds.into(),
            0..=3600,
        ),
        ("drain_seconds", limits.drain_seconds.into(), 0..=3600),
    ]
}
