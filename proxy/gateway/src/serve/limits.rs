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

/// The connections that callers may hold open, and the requests to upstreams that may be under way for them.
pub(super) fn shares(
    limits: &settings::Limits,
    metrics: &Metrics,
    current: &Arc<ArcSwap<Snapshot>>,
) -> (Arc<Connections>, Arc<Connections>) {
    // Without a limit there is nothing to run out of.
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = Asked {
        what: "connections",
        share: CONNECTIONS,
        total: limits.connections,
        per_client: limits.connections_per_client,
    };
    let requests = Asked {
        what: "requests",
        share: REQUESTS,
        total: limits.requests,
        per_client: limits.requests_per_client,
    };
    let counted = |asked: &Asked, refused| {
        let caps = asked.caps(descriptors);
        asked.tell(caps, descriptors);
        let current = current.clone();
        let trusted = move |peer: IpAddr| current.load().rules.trusts(peer);
        Connections::new(caps, refused, trusted)
    };
    let connections = counted(&connections, metrics.limits.connections());
    (connections, counted(&requests, metrics.limits.requests()))
}

/// How many connections to upstreams may wait for their next request: Pingora's, and those of the direct way.
pub(super) fn idle_connections() -> (usize, usize) {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let share = |of_100| share(descriptors, of_100).min(MOST_IDLE);
    (share(IDLE), share(IDLE_DIRECT))
}

/// What the settings say of one kind of share.
struct Asked {
    what: &'static str,
    /// Of 100 descriptors.
    share: u64,
    total: Option<u32>,
    per_client: Option<u32>,
}

impl Asked {
    fn caps(&self, descriptors: u64) -> Caps {
        let share = share(descriptors, self.share);
        let total = self.total.map_or(share, |asked| share.min(asked as usize));
        let per_client = self.per_client.map_or_else(
            || (total / 4).clamp(1, PER_CLIENT),
            |asked| total.min(asked as usize),
        );
        Caps { total, per_client }
    }

    fn tell(&self, caps: Caps, descriptors: u64) {
        let what = self.what;
        if self.total.is_some_and(|asked| asked as usize > caps.total) {
            tracing::warn!(
                what,
                descriptors,
                total = caps.total,
                "Less than the settings allow: the limit of open files is too low"
            );
        }
        let Caps { total, per_client } = caps;
        tracing::debug!(what, descriptors, total, per_client, "Callers are limited");
    }
}

/// So many of 100 descriptors, and at least one.
fn share(descriptors: u64, of_100: u64) -> usize {
    let share = usize::try_from(descriptors / 100 * of_100 + descriptors % 100 * of_100 / 100);
    share.unwrap_or(usize::MAX).max(1)
}

/// Of 100 descriptors: callers' connections, requests to upstreams, each of which takes one, and idle connections to them,
/// Pingora's and those of the direct way. The rest is for the store, files and logs.
const CONNECTIONS: u64 = 45;
const REQUESTS: u64 = 30;
const IDLE: u64 = 7;
const IDLE_DIRECT: u64 = 8;
const MOST_IDLE: usize = 4096;
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
            let asked = Asked {
                what: "connections",
                share: CONNECTIONS,
                total: connections,
                per_client: connections_per_client,
            };
            let expected = Caps { total, per_client };
            assert_eq!(asked.caps(descriptors), expected, "{descriptors}");
        }
        for descriptors in [256, 1024, 1 << 20] {
            let shares =
                [CONNECTIONS, REQUESTS, IDLE, IDLE_DIRECT].map(|of| share(descriptors, of));
            let rest = usize::try_from(descriptors).unwrap() - shares.iter().sum::<usize>();
            assert!(rest >= share(descriptors, 10), "{descriptors}: {shares:?}");
        }
    }
}
