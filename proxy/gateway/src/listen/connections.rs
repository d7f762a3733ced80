//! How many connections callers may hold open, and how many requests may be under way for them: in all, so that file
//! descriptors are left for upstreams, the store and files, and each, so that no caller takes all.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntCounter;

/// The connections of every listener, counted, or the requests to every upstream.
pub(crate) struct Connections {
    caps: Caps,
    /// Peers that connect on behalf of many, as load balancers do.
    trusted: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    refused: Refused,
    open: Mutex<Open>,
}

/// How many may be there at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Of all callers.
    pub(crate) total: usize,
    /// Of one client.
    pub(crate) per_client: usize,
}

/// Counts those that were refused, by why.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The process holds all it can.
    pub(crate) total: IntCounter,
    /// The client holds all it may.
    pub(crate) client: IntCounter,
}

/// One that counts until it is dropped.
pub(crate) struct Counted {
    connections: Arc<Connections>,
    client: IpAddr,
}

#[derive(Default)]
struct Open {
    total: usize,
    /// INVARIANT: nobody without one stands here, so it is bounded as they are.
    clients: HashMap<IpAddr, usize>,
}

impl Connections {
    /// None open yet.
    pub(crate) fn new(
        caps: Caps,
        refused: Refused,
        trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            caps,
            trusted: Box::new(trusted),
            refused,
            open: Mutex::default(),
        })
    }

    /// Counts one more, unless there are enough.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        let peer = peer.to_canonical();
        self.count(peer, (self.trusted)(peer))
    }

    /// As [`Self::admit`], for a load balancer that is about to say for whom it connects.
    pub(super) fn admit_sender(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        self.count(peer.to_canonical(), true)
    }

    fn count(self: &Arc<Self>, peer: IpAddr, for_many: bool) -> Option<Counted> {
        let client = client(peer);
        let mut open = self.open();
        if open.total >= self.caps.total {
            self.refused.total.inc();
            return None;
        }
        let held = open.clients.get(&client).copied().unwrap_or_default();
        if held >= self.caps.per_client && !for_many {
            self.refused.client.inc();
            return None;
        }
        open.total += 1;
        open.clients.insert(client, held + 1);
        drop(open);
        Some(Counted {
            connections: self.clone(),
            client,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing panics between the two changes that belong together.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Counts it as another client's, unless that one has enough.
    pub(super) fn is_of(&mut self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let client = client(peer);
        let connections = &self.connections;
        let for_many = (connections.trusted)(peer);
        let mut open = connections.open();
        let held = open.clients.get(&client).copied().unwrap_or_default();
        if client != self.client && held >= connections.caps.per_client && !for_many {
            connections.refused.client.inc();
            return false;
        }
        open.release(self.client);
        *open.clients.entry(client).or_default() += 1;
        self.client = client;
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.total = open.total.saturating_sub(1);
        open.release(self.client);
    }
}

impl Open {
    /// One less of this client.
    fn release(&mut self, client: IpAddr) {
        if let Some(held) = self.clients.get_mut(&client) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.clients.remove(&client);
            }
        }
    }
}

/// Who counts as one: an IPv6 host has a whole /64 to connect from (RFC 4291 section 2.5.1).
pub(crate) fn client(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => Ipv6Addr::from(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        total: 3,
        per_client: 2,
    };

    fn connections(caps: Caps) -> Arc<Connections> {
        let counter = |name| IntCounter::new(name, "-").unwrap();
        let refused = Refused {
            total: counter("total"),
            client: counter("client"),
        };
        Connections::new(caps, refused, |peer| peer == address("10.0.0.9"))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_its_share_and_all_have_theirs() {
        let connections = connections(CAPS);
        let admit = |text| connections.admit(address(text));
        let (first, second) = (admit("10.0.0.1").unwrap(), admit("::ffff:10.0.0.1"));
        assert!(second.is_some() && admit("10.0.0.1").is_none());
        let other = admit("10.0.0.2");
        assert!(other.is_some() && admit("10.0.0.3").is_none());
        assert_eq!(connections.refused.client.get(), 1);
        assert_eq!(connections.refused.total.get(), 1);
        drop(first);
        let again = admit("10.0.0.1");
        assert!(again.is_some());
        drop((second, other, again));
        let open = connections.open();
        assert!(open.total == 0 && open.clients.is_empty());
    }

    #[test]
    fn a_load_balancers_connections_are_its_clients() {
        let connections = connections(Caps {
            total: 6,
            per_client: 2,
        });
        let balancer = address("10.0.0.5");
        let mut held: Vec<_> = (0..4)
            .map(|_| connections.admit_sender(balancer).unwrap())
            .collect();
        let mut is_of = |at: usize, text| held[at].is_of(address(text));
        assert!(is_of(0, "10.0.0.1") && is_of(1, "::ffff:10.0.0.1"));
        assert!(!is_of(2, "10.0.0.1") && is_of(2, "10.0.0.2"));
        assert!(is_of(1, "10.0.0.1"), "it is that one's already");
        assert_eq!(connections.refused.client.get(), 1);
        assert!(connections.admit(address("10.0.0.1")).is_none());
        let others = [
            connections.admit_sender(balancer),
            connections.admit_sender(balancer),
        ];
        assert!(others.iter().all(Option::is_some));
        assert!(connections.admit_sender(balancer).is_none(), "in all");
        drop((held, others));
        let open = connections.open();
        assert!(open.total == 0 && open.clients.is_empty());
    }

    #[test]
    fn trusted_peers_have_no_share_and_ipv6_hosts_have_one() {
        let connections = connections(CAPS);
        let held: Vec<_> = (0..4)
            .map(|_| connections.admit(address("10.0.0.9")))
            .collect();
        assert_eq!(held.iter().flatten().count(), CAPS.total);
        drop(held);
        let hosts = [
            "2001:db8::1",
            "2001:db8::2:1",
            "2001:db8::3",
            "2001:db8:0:1::1",
        ];
        let held: Vec<_> = hosts.map(|host| connections.admit(address(host))).into();
        let admitted: Vec<_> = held.iter().map(Option::is_some).collect();
        assert_eq!(admitted, [true, true, false, true]);
    }
}
