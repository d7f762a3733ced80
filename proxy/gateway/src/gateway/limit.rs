//! Rate limits on the way of a request: before anybody is identified by address and route, after that by caller.
//!
//! Callers' limits come before the decision, so that what is refused counts as well: a caller who tries what he may not do
//! costs as much as one who does what he may.

use std::{fmt::Write as _, sync::Arc};

use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use prometheus::IntCounter;
use settings::By;

use super::{Ctx, head::Head, identify::Caller, refuse::Refusal};
use crate::{
    listen,
    rate::{Key, Left, Limiter, Said},
};

/// The rate limits of one route.
pub(crate) struct Limits {
    /// Those with narrower buckets first: who is refused by his own takes nothing from everybody's.
    rules: Vec<Rule>,
    /// How many of them need no caller; those come first.
    early: usize,
    /// `RateLimit-Policy`, where there is anything to tell.
    policy: Option<HeaderValue>,
}

/// A limit on a route.
pub(crate) struct Rule {
    pub(crate) limiter: Arc<Limiter>,
    /// Counts refusals.
    pub(crate) refused: IntCounter,
}

/// What the limits of a route, in their order, had left for a request, as far as they were asked.
pub(super) type Asked = Vec<Left>;

impl Limits {
    /// `None` without a rule: then nothing is asked.
    pub(crate) fn new(mut rules: Vec<Rule>) -> Option<Box<Self>> {
        rules.sort_by_key(|rule| match rule.limiter.by() {
            By::ClientIp => 0,
            By::Route => 1,
            By::Principal => 2,
            By::Claim(_) => 3,
        });
        let early = rules.iter().filter(|rule| !rule.limiter.by().asks_who());
        let early = early.count();
        let announced = rules.iter().filter(|rule| rule.limiter.is_announced());
        let mut policy = String::new();
        for Rule { limiter, .. } in announced {
            let (name, burst, window) = (limiter.name(), limiter.burst(), limiter.window());
            item(&mut policy, format_args!("\"{name}\";q={burst};w={window}"));
        }
        let policy = HeaderValue::try_from(policy).ok();
        (!rules.is_empty()).then(|| {
            Box::new(Self {
                rules,
                early,
                policy: policy.filter(|policy| !policy.is_empty()),
            })
        })
    }

    /// Takes from the buckets by address and route.
    fn before(&self, head: &Head, asked: &mut Asked) -> Result<(), Refusal> {
        let rules = self.rules.iter().take(self.early);
        take(rules, asked, |by| match by {
            By::ClientIp => Key::Client(listen::client(head.client)),
            _ => Key::Everybody,
        })
    }

    /// Takes from the buckets by caller and claim.
    fn after(&self, caller: Option<&Caller>, asked: &mut Asked) -> Result<(), Refusal> {
        let rules = self.rules.iter().skip(self.early);
        take(rules, asked, |by| key(by, caller))
    }

    /// What limits there are and what they leave, as header fields; nothing of those that are not announced.
    fn fields(&self, asked: &[Left]) -> Vec<(HeaderName, HeaderValue)> {
        let Some(policy) = &self.policy else {
            return Vec::new();
        };
        let mut fields = vec![(RATELIMIT_POLICY, policy.clone())];
        let rules = self.rules.iter().zip(asked);
        let told = rules.filter(|(rule, _)| rule.limiter.is_announced());
        let mut line = String::with_capacity(64);
        let mut least: Option<(&Limiter, Left)> = None;
        for (Rule { limiter, .. }, left) in told {
            let (name, requests, seconds) = (limiter.name(), left.requests, left.seconds);
            item(
                &mut line,
                format_args!("\"{name}\";r={requests};t={seconds}"),
            );
            if least.is_none_or(|(_, least)| left.is_before(&least)) {
                least = Some((limiter, *left));
            }
        }
        if let (Some((limiter, left)), Ok(line)) = (least, HeaderValue::try_from(line)) {
            fields.extend([
                (RATELIMIT, line),
                (RATELIMIT_LIMIT, limiter.burst().into()),
                (RATELIMIT_REMAINING, left.requests.into()),
                (RATELIMIT_RESET, left.seconds.into()),
            ]);
        }
        fields
    }
}

impl Ctx {
    /// Takes from the rate limits that need no caller.
    pub(super) fn limit_early(&mut self, head: &Head) -> Result<(), Refusal> {
        let limits = self.plan.as_ref().and_then(|plan| plan.limits.as_ref());
        limits.map_or(Ok(()), |limits| limits.before(head, &mut self.asked))
    }

    /// Takes from the rate limits by caller.
    pub(super) fn limit_late(&mut self, caller: Option<&Caller>) -> Result<(), Refusal> {
        let limits = self.plan.as_ref().and_then(|plan| plan.limits.as_ref());
        limits.map_or(Ok(()), |limits| limits.after(caller, &mut self.asked))
    }

    /// What the caller is told of the route's rate limits.
    pub(super) fn limit_fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let limits = self.plan.as_ref().and_then(|plan| plan.limits.as_ref());
        limits.map_or_else(Vec::new, |limits| limits.fields(&self.asked))
    }

    /// Tells the caller of the route's rate limits. What an upstream says of its own stays: lists become longer, and of the
    /// older fields, of which clients cannot read two, its are kept.
    pub(super) fn tell_limits(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        let fields = self.limit_fields();
        let is_said = APART.iter().any(|name| head.headers.contains_key(name));
        for (name, value) in fields {
            if !(is_said && APART.contains(&name)) {
                head.append_header(name, value)?;
            }
        }
        Ok(())
    }
}

fn take<'r, 'k>(
    rules: impl Iterator<Item = &'r Rule>,
    asked: &mut Asked,
    key: impl Fn(&'r By) -> Key<'k>,
) -> Result<(), Refusal> {
    for rule in rules {
        let taken = rule.limiter.take(&key(rule.limiter.by()));
        let (Ok(left) | Err(left)) = taken;
        asked.push(left);
        if taken.is_err() {
            rule.refused.inc();
            return Err(Refusal::RateLimited {
                limit: rule.limiter.name().to_owned(),
                seconds: left.seconds,
            });
        }
    }
    Ok(())
}

/// Whose bucket it is. Names are their issuer's own, so that no issuer takes from another's callers.
fn key<'k>(by: &'k By, caller: Option<&'k Caller>) -> Key<'k> {
    let named = caller.and_then(|caller| {
        let issuer = caller.issuer();
        if let By::Claim(name) = by {
            let value = caller.claims().get(name).and_then(Said::of)?;
            Some(Key::Claim { issuer, value })
        } else {
            let id = caller.principal()?;
            Some(Key::Principal { issuer, id })
        }
    });
    named.unwrap_or(Key::Nameless)
}

/// Adds an item to a list of structured fields (RFC 9651 section 3.1).
fn item(list: &mut String, item: std::fmt::Arguments<'_>) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    // A string takes whatever is written to it.
    let _ = list.write_fmt(item);
}

/// draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The fields of the draft's revisions before 7, which most clients know: of that limit alone which ends first.
const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const APART: [HeaderName; 3] = [RATELIMIT_LIMIT, RATELIMIT_REMAINING, RATELIMIT_RESET];

#[cfg(test)]
mod tests;
