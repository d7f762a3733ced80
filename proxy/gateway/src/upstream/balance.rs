//! Which endpoint a request goes to.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
};

use settings::Balance;

use super::{Endpoint, Unavailable};

/// What chooses between endpoints that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The number of the request.
    Number(u64),
    /// Its key, hashed.
    Key(u64),
}

impl Turn {
    /// The turn of requests with this key.
    pub(crate) fn of(key: impl Hash) -> Self {
        Self::Key(hashed(key))
    }
}

/// What makes an endpoint choose its own keys; the same in every process of one build.
pub(super) fn seed(label: &str, address: &str) -> u64 {
    hashed((label, address))
}

/// The endpoint that comes first for this turn, of those that were not tried and take one more request.
pub(super) fn choose<'l>(
    list: &'l [Arc<Endpoint>],
    turn: Turn,
    tried: &[Arc<Endpoint>],
    balance: &Balance,
) -> Result<&'l Arc<Endpoint>, Unavailable> {
    if let Some(next) = next(list, turn, tried, balance) {
        return Ok(next);
    }
    let is_tried = |endpoint: &Arc<Endpoint>| tried.iter().any(|it| Arc::ptr_eq(it, endpoint));
    let mut is_full = false;
    let mut best: Option<((bool, u64), &Arc<Endpoint>)> = None;
    for (position, endpoint) in list.iter().enumerate() {
        if is_tried(endpoint) {
            continue;
        }
        if endpoint.is_full() {
            is_full = true;
            continue;
        }
        let rank = (
            !endpoint.is_well(),
            rank(endpoint, (position, list.len()), turn, balance),
        );
        if best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, endpoint));
        }
    }
    match best {
        Some((_, endpoint)) => Ok(endpoint),
        None if is_full => Err(Unavailable::Overloaded),
        None => Err(Unavailable::Unreachable),
    }
}

/// The next in turn, where nothing speaks against it: others need not be looked at.
fn next<'l>(
    list: &'l [Arc<Endpoint>],
    turn: Turn,
    tried: &[Arc<Endpoint>],
    balance: &Balance,
) -> Option<&'l Arc<Endpoint>> {
    let Turn::Number(number) = turn else {
        return None;
    };
    if !tried.is_empty() || (*balance == Balance::LeastConnections && list.len() > 1) {
        return None;
    }
    let next = list.get(position(number, list.len())?)?;
    (next.is_well() && is_its_turn(next, number) && !next.is_full()).then_some(next)
}

/// The less, the sooner.
fn rank(
    endpoint: &Endpoint,
    (position, count): (usize, usize),
    turn: Turn,
    balance: &Balance,
) -> u64 {
    let number = match turn {
        Turn::Key(key) => return !mixed(key ^ endpoint.seed),
        Turn::Number(number) => number,
    };
    let first = self::position(number, count).unwrap_or_default();
    let distance = wide((position + count).saturating_sub(first) % count.max(1));
    if *balance == Balance::LeastConnections {
        // As many as if it took its whole share.
        let load = wide(endpoint.requests() + 1) * 1000 / endpoint.share().max(1);
        return (load << 16) | distance.min(u64::from(u16::MAX));
    }
    if is_its_turn(endpoint, number) {
        distance
    } else {
        distance + wide(count)
    }
}

/// Whether an endpoint that takes only a part of its share takes this one.
fn is_its_turn(endpoint: &Endpoint, number: u64) -> bool {
    let share = endpoint.share();
    share >= 1000 || mixed(number) % 1000 < share
}

fn position(number: u64, count: usize) -> Option<usize> {
    usize::try_from(number.checked_rem(wide(count))?).ok()
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn hashed(key: impl Hash) -> u64 {
    // Without a secret: every node must choose alike.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014): each bit depends on all.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
