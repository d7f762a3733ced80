//! Rate limits: who may send how many requests in what time, counted in buckets of bounded memory.
//!
//! Each bucket is one of the generic cell rate algorithm, as `governor` has it; [`table`] keeps those of many callers.

mod table;

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::{InMemoryState, NotKeyed},
};
use prometheus::IntCounter;
use settings::{By, RateLimit};
use token::Claim;

use table::{Print, Table};

/// One rate limit with its buckets.
pub(crate) struct Limiter<C: Clock = MonotonicClock> {
    limit: RateLimit,
    /// Whose own it is; `None` for one that routes share.
    route: Option<String>,
    /// The time in which one request is made up for.
    interval: Duration,
    buckets: Buckets<C>,
    clock: C,
    /// Tells callers apart by a secret, so that nobody can choose with whom to share.
    hasher: RandomState,
}

enum Buckets<C: Clock> {
    One(RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>),
    Many(RateLimiter<Print, Table, C, StateInformationMiddleware>),
}

/// Whose bucket a request takes from.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key<'k> {
    /// Everybody's.
    Everybody,
    /// That of an IPv4 address or IPv6 /64.
    Client(IpAddr),
    /// That of a caller, whom only his issuer names.
    Principal { issuer: &'k str, id: &'k str },
    /// That of what an issuer says of its callers.
    Claim { issuer: &'k str, value: Said<'k> },
    /// That of all tokens that do not say whose it is.
    Nameless,
}

/// A claim's value that can tell callers apart.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Said<'k> {
    Text(&'k str),
    Number(&'k str),
    Truth(bool),
}

impl<'k> Said<'k> {
    /// `None` for what has parts, or is nothing.
    pub(crate) fn of(claim: Claim<'k>) -> Option<Self> {
        match claim {
            Claim::Text(text) => Some(Self::Text(text)),
            Claim::Number(number) => Some(Self::Number(number)),
            Claim::Bool(truth) => Some(Self::Truth(truth)),
            Claim::Null | Claim::List(_) | Claim::Object(_) => None,
        }
    }
}

/// What is left in a bucket after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) requests: u32,
    /// Seconds over which to spread these; after a refusal, until there is one.
    pub(crate) seconds: u64,
}

impl Left {
    /// Whether this ends before the other.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        (self.requests, other.seconds) < (other.requests, self.seconds)
    }
}

impl Limiter {
    /// Full buckets, by the system's steady clock. Counts in `crowded` each time that a newcomer shares a bucket.
    pub(crate) fn new(limit: RateLimit, route: Option<String>, crowded: IntCounter) -> Self {
        Self::with_clock(limit, route, crowded, MonotonicClock)
    }
}

impl<C: Clock + Clone> Limiter<C> {
    fn with_clock(limit: RateLimit, route: Option<String>, crowded: IntCounter, clock: C) -> Self {
        // Rounded up: the limit is never exceeded, by a nanosecond a request.
        let whole = u64::from(limit.per_seconds.get()) * NANOS_A_SECOND;
        let interval = Duration::from_nanos(whole.div_ceil(limit.requests.get().into()));
        let quota = Quota::with_period(interval)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(limit.burst);
        let buckets = if limit.by == By::Route {
            let state = InMemoryState::default();
            Buckets::One(RateLimiter::new(quota, state, clock.clone()))
        } else {
            let keys = usize::try_from(limit.keys).unwrap_or(usize::MAX);
            let table = Table::new(keys, interval, crowded);
            Buckets::Many(RateLimiter::new(quota, table, clock.clone()))
        };
        Self {
            limit,
            route,
            interval,
            buckets,
            clock,
            hasher: RandomState::new(),
        }
    }

    /// Takes a request from a bucket; where none is left, says how long to wait.
    pub(crate) fn take(&self, key: &Key<'_>) -> Result<Left, Left> {
        let taken = match &self.buckets {
            Buckets::One(bucket) => bucket.check(),
            Buckets::Many(buckets) => buckets.check_key(&Print::new(self.hasher.hash_one(key))),
        };
        taken
            .map(|state| self.left(&state))
            .map_err(|refusal| self.wait(&refusal))
    }

    /// Whose requests share a bucket.
    pub(crate) fn by(&self) -> &By {
        &self.limit.by
    }

    /// Its name in answers, records and metrics.
    pub(crate) fn name(&self) -> &str {
        &self.limit.name
    }

    /// Whether answers tell of it.
    pub(crate) fn is_announced(&self) -> bool {
        self.limit.announce
    }

    /// How many requests a full bucket holds.
    pub(crate) fn burst(&self) -> u32 {
        self.limit.burst.get()
    }

    /// Seconds in which an empty bucket is full again, rounded up.
    pub(crate) fn window(&self) -> u64 {
        self.made_up_in(self.burst())
    }

    /// Whether it was made of these settings, so that its buckets may go on.
    pub(crate) fn is_made_of(&self, limit: &RateLimit, route: Option<&str>) -> bool {
        self.limit == *limit && self.route.as_deref() == route
    }

    fn left(&self, state: &StateSnapshot) -> Left {
        let requests = state.remaining_burst_capacity();
        Left {
            requests,
            seconds: self.made_up_in(requests.max(1)),
        }
    }

    fn wait(&self, refusal: &NotUntil<C::Instant>) -> Left {
        let wait = refusal.wait_time_from(self.clock.now());
        Left {
            requests: 0,
            seconds: whole_seconds(wait.as_nanos()),
        }
    }

    /// Seconds in which that many requests are made up for.
    fn made_up_in(&self, requests: u32) -> u64 {
        whole_seconds(self.interval.as_nanos() * u128::from(requests))
    }
}

/// Rounded up, and at least one: a client that waits for none comes back at once.
fn whole_seconds(nanos: u128) -> u64 {
    let seconds = nanos.div_ceil(u128::from(NANOS_A_SECOND)).max(1);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

const NANOS_A_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
