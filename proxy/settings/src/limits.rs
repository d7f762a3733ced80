//! What callers may hold open, checked.

use crate::{Place, check::Check, written::Limits};

pub(crate) fn check(limits: Limits, check: &mut Check<'_>) -> Limits {
    let place = Place::from("limits");
    for (name, value) in [
        ("connections", limits.connections),
        ("connections_per_client", limits.connections_per_client),
    ] {
        if value == Some(0) {
            check.report(&place.key(name), "must be 1 or more; nobody could connect");
        }
    }
    for (name, value, range) in [
        ("body_idle_seconds", limits.body_idle_seconds, 1..=3600),
        ("drain_seconds", limits.drain_seconds, 0..=3600),
    ] {
        if !range.contains(&value) {
            let (from, to) = range.into_inner();
            check.report(&place.key(name), format!("must be between {from} and {to}"));
        }
    }
    limits
}
