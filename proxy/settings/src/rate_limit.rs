//! Rate limits, checked: of routes and those that routes share.

use std::{collections::BTreeMap, num::NonZeroU32};

use crate::{
    Place,
    check::Check,
    load::check_name,
    route::{Names, position},
    written::{self, By},
};

/// Buckets that hold `burst` requests each and fill up at `requests` in `per_seconds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Its name in answers, records and metrics.
    pub name: String,
    /// Whose requests share a bucket.
    pub by: By,
    /// How many requests may come in `per_seconds`.
    pub requests: NonZeroU32,
    /// The time that `requests` is for.
    pub per_seconds: NonZeroU32,
    /// How many requests may come at once. INVARIANT: an empty bucket is full again within 31 days.
    pub burst: NonZeroU32,
    /// How many buckets are kept apart.
    pub keys: u32,
    /// Whether answers tell of it.
    pub announce: bool,
}

/// A rate limit of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteLimit {
    /// Which of [`crate::Settings::rate_limits`].
    Shared(usize),
    /// For the route alone.
    Own(RateLimit),
}

pub(crate) fn check(
    raw: BTreeMap<String, written::RateLimit>,
    check: &mut Check<'_>,
) -> Vec<RateLimit> {
    let limits = raw.into_iter().map(|(name, raw)| {
        let place = Place::from("rate_limits").key(&name);
        check_name(&name, &place, check);
        if raw.name.is_some() {
            let message = format!("says nothing here: the limit is called `{name}`; take it out");
            check.report(&place.key("name"), message);
        }
        limit(name, raw, &place, check)
    });
    limits.collect()
}

/// The limits of one route, on which nobody proves who they are if it is `open`.
pub(crate) fn of_route(
    raw: &[written::RouteLimit],
    is_open: bool,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Vec<RouteLimit> {
    let mut limits = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    let list = place.key("rate_limits");
    for (raw, place) in raw.iter().zip(check.items(&list)) {
        let Some(limit) = one(raw, names, &place, check) else {
            continue;
        };
        let Some(of) = limit.of(names.rate_limits) else {
            continue;
        };
        if taken.contains(&of.name) {
            let message = format!(
                "another limit of this route is called `{}`; give one of them a `name`",
                of.name
            );
            check.report(&place, message);
        }
        if is_open && of.by.asks_who() {
            check.report(
                &place,
                "counts by who calls, and nobody proves who they are on this route; count by `client_ip` or `route`",
            );
        }
        taken.push(of.name.clone());
        limits.push(limit);
    }
    limits
}

fn one(
    raw: &written::RouteLimit,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<RouteLimit> {
    match raw {
        written::RouteLimit::Shared(name) => {
            let known = names.rate_limits.iter().map(|limit| limit.name.as_str());
            let known: Vec<_> = known.collect();
            let index = position(name, &known, "rate_limits", place, check);
            index.map(RouteLimit::Shared)
        }
        written::RouteLimit::Own(raw) => {
            let name = raw.name.clone();
            let name = name.unwrap_or_else(|| raw.by.word().to_owned());
            check_name(&name, &place.key("name"), check);
            let limit = limit(name, raw.clone(), place, check);
            Some(RouteLimit::Own(limit))
        }
    }
}

fn limit(name: String, raw: written::RateLimit, place: &Place, check: &mut Check<'_>) -> RateLimit {
    if raw.by == By::Claim(String::new()) {
        check.report(&place.key("by").key("claim"), "name a claim");
    }
    let mut within = |key: &str, value: u32, most: u32| {
        if !(1..=most).contains(&value) {
            check.report(&place.key(key), format!("must be between 1 and {most}"));
        }
        NonZeroU32::new(value.min(most)).unwrap_or(NonZeroU32::MIN)
    };
    let requests = within("requests", raw.requests, MOST_REQUESTS);
    let per_seconds = within("per_seconds", raw.per_seconds, LONGEST);
    let burst = raw.burst.unwrap_or(requests.get());
    let burst = within("burst", burst, MOST_REQUESTS);
    let product = |a: NonZeroU32, b: u32| u64::from(a.get()) * u64::from(b);
    if product(burst, per_seconds.get()) > product(requests, LONGEST) {
        let message = format!("is more than `requests` make up for in {LONGEST} s, 31 days");
        check.report(&place.key("burst"), message);
    }
    let keys = raw.keys.unwrap_or(KEYS);
    if !(FEWEST_KEYS..=MOST_KEYS).contains(&keys) {
        let message = format!("must be between {FEWEST_KEYS} and {MOST_KEYS}");
        check.report(&place.key("keys"), message);
    }
    if raw.keys.is_some() && raw.by == By::Route {
        let message = "says nothing where everybody shares one bucket; take it out";
        check.report(&place.key("keys"), message);
    }
    RateLimit {
        name,
        by: raw.by,
        requests,
        per_seconds,
        burst,
        keys,
        announce: raw.announce,
    }
}

impl RouteLimit {
    /// The limit, given those that routes share.
    pub fn of<'l>(&'l self, shared: &'l [RateLimit]) -> Option<&'l RateLimit> {
        match self {
            Self::Shared(index) => shared.get(*index),
            Self::Own(limit) => Some(limit),
        }
    }
}

impl By {
    /// Whether only a caller who is known can be counted.
    pub fn asks_who(&self) -> bool {
        matches!(self, Self::Principal | Self::Claim(_))
    }

    /// The word for it in the settings.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::ClientIp => "client_ip",
            Self::Principal => "principal",
            Self::Claim(_) => "claim",
        }
    }
}

/// Seconds until any bucket is full again, at most.
const LONGEST: u32 = 31 * 86400;
const MOST_REQUESTS: u32 = 1_000_000;
const KEYS: u32 = 65536;
const FEWEST_KEYS: u32 = 1024;
const MOST_KEYS: u32 = 1 << 24;
