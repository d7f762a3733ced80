//! Where an upstream's servers are: a list that changes as names lead elsewhere.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arc_swap::{ArcSwap, Guard};
use settings::Balance;

use super::{
    Common, Endpoint, InUse, Server, Unavailable,
    balance::{self, Turn},
};

/// The endpoints of an upstream's servers, in the servers' order.
#[derive(Debug)]
pub(super) struct Endpoints {
    list: ArcSwap<Vec<Arc<Endpoint>>>,
    servers: Vec<Arc<Server>>,
    common: Arc<Common>,
    /// Held while the list is made anew.
    changing: Mutex<()>,
}

impl Endpoints {
    /// Those that are known from the settings alone.
    pub(super) fn new(servers: &[Arc<Server>], common: &Arc<Common>) -> Self {
        let fixed = servers.iter().filter_map(|server| {
            let peer = server.fixed_peer()?;
            Some(Arc::new(Endpoint::new(server, common, peer)))
        });
        Self {
            list: ArcSwap::from_pointee(fixed.collect()),
            servers: servers.to_vec(),
            common: common.clone(),
            changing: Mutex::new(()),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<Vec<Arc<Endpoint>>>> {
        self.list.load()
    }

    /// Those of one server.
    pub(super) fn of(&self, server: &Arc<Server>) -> Vec<Arc<Endpoint>> {
        let list = self.load();
        let of = list.iter().filter(|it| Arc::ptr_eq(it.server(), server));
        of.cloned().collect()
    }

    /// A server's name leads to these addresses, and to no others.
    pub(super) fn replace(&self, server: &Arc<Server>, addresses: &[SocketAddr]) {
        // The list is put in force as a whole.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.of(server);
        let is_first = before.is_empty();
        let made = |address: &SocketAddr| {
            let endpoint = Endpoint::new(server, &self.common, server.peer(*address));
            if !is_first {
                endpoint.warm_up(Instant::now());
            }
            Arc::new(endpoint)
        };
        let is_at = |endpoint: &&Arc<Endpoint>, address: &SocketAddr| {
            endpoint.address().as_inet() == Some(address)
        };
        let now: Vec<_> = addresses
            .iter()
            .map(|address| {
                let kept = before.iter().find(|it| is_at(it, address));
                kept.cloned().unwrap_or_else(|| made(address))
            })
            .collect();
        let all = self.servers.iter().flat_map(|other| {
            if Arc::ptr_eq(other, server) {
                now.clone()
            } else {
                self.of(other)
            }
        });
        self.list.store(Arc::new(all.collect()));
        // Who waits may be served there.
        self.common.free.notify_waiters();
    }

    /// Chooses one that takes the request: of those that are well if there are any, since a check may be wrong where nothing
    /// else is left.
    pub(super) fn choose(
        &self,
        turn: Turn,
        tried: &[Arc<Endpoint>],
        balance: &Balance,
    ) -> Result<InUse, Unavailable> {
        let list = self.load();
        loop {
            let chosen = balance::choose(&list, turn, tried, balance)?;
            // Another request may have come before it.
            if let Some(in_use) = chosen.take() {
                return Ok(in_use);
            }
        }
    }

    /// Whether one more may be left alone: some must stay.
    pub(super) fn may_eject(&self, endpoint: &Arc<Endpoint>, percent: u8) -> bool {
        let list = self.load();
        if endpoint.is_ejected() || list.len() < 2 {
            return false;
        }
        let ejected = list.iter().filter(|it| it.is_ejected()).count();
        let most = (list.len() * usize::from(percent) / 100).max(1);
        ejected < most
    }
}
