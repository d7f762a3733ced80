//! What the process can hold open, and what of it is callers'.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    listen::{Caps, Connections},
    metrics::Metrics,
    snapshot::Snapshot,
};

/// Raises the limit of open files as far as the process may: the soft one is low for the sake of `select`, which is not
/// used here.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if raised.current != limit.current
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "The limit of open files stays as it is");
    }
}

/// The connections that callers may hold open.
pub(super) fn connections(
    limits: &settings::Limits,
    metrics: &Metrics,
    current: &Arc<ArcSwap<Snapshot>>,
) -> Arc<Connections> {
    // Without a limit there is nothing to run out of.
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let caps = caps(limits, descriptors);
    if limits
        .connections
        .is_some_and(|asked| asked as usize > caps.total)
    {
        tracing::warn!(
            descriptors,
            connections = caps.total,
            "Fewer connections than the settings allow: the limit of open files is too low"
        );
    }
    tracing::debug!(
        descriptors,
        connections = caps.total,
        per_client = caps.per_client,
        "Connections are limited"
    );
    let current = current.clone();
    let trusted = move |peer: IpAddr| current.load().rules.trusts(peer);
    Connections::new(caps, metrics.connections_refused(), trusted)
}

fn caps(limits: &settings::Limits, descriptors: u64) -> Caps {
    let share = usize::try_from(descriptors / 100 * SHARE + descriptors % 100 * SHARE / 100);
    let share = share.unwrap_or(usize::MAX).max(1);
    let total = limits
        .connections
        .map_or(share, |asked| share.min(asked as usize));
    let per_client = limits.connections_per_client.map_or_else(
        || (total / 4).clamp(1, PER_CLIENT),
        |asked| total.min(asked as usize),
    );
    Caps { total, per_client }
}

/// Of 100 descriptors. A connection may take another to its upstream; the rest is for the store, files and logs.
const SHARE: u64 = 45;
/// Browsers have six, load generators hundreds.
const PER_CLIENT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_for_others() {
        for (connections, connections_per_client, descriptors, total, per_client) in [
            (None, None, 1024, 460, 115),
            (None, None, 1 << 20, 471_859, 1024),
            (None, None, 0, 1, 1),
            (Some(100), None, 1024, 100, 25),
            (Some(5000), Some(7), 1024, 460, 7),
            (Some(10), Some(500), 1024, 10, 10),
            (Some(2), None, u64::MAX, 2, 1),
        ] {
            let limits = settings::Limits {
                connections,
                connections_per_client,
                ..settings::Limits::default()
            };
            let expected = Caps { total, per_client };
            assert_eq!(caps(&limits, descriptors), expected, "{limits:?}");
        }
    }
}
