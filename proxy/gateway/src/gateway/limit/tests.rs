//! What callers are told of rate limits.

use std::num::NonZeroU32;

use settings::RateLimit;

use super::*;

fn rule(name: &str, by: By, requests: u32, announce: bool) -> Rule {
    let counter = || IntCounter::new("counter", "-").unwrap();
    let limit = RateLimit {
        name: name.into(),
        by,
        requests: NonZeroU32::new(requests).unwrap(),
        per_seconds: NonZeroU32::new(60).unwrap(),
        burst: NonZeroU32::new(requests).unwrap(),
        keys: 1024,
        announce,
    };
    Rule {
        limiter: Arc::new(Limiter::new(limit, None, counter())),
        refused: counter(),
    }
}

fn told(limits: &Limits, asked: &[Left]) -> Vec<(String, String)> {
    let fields = limits.fields(asked).into_iter();
    let text = |(name, value): (HeaderName, HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    fields.map(text).collect()
}

fn left(requests: u32, seconds: u64) -> Left {
    Left { requests, seconds }
}

#[test]
fn narrow_buckets_come_first_and_those_of_callers_last() {
    let limits = Limits::new(vec![
        rule("all", By::Route, 100, true),
        rule("tenant", By::Claim("tenant".into()), 50, true),
        rule("user", By::Principal, 20, true),
        rule("address", By::ClientIp, 10, true),
    ]);
    let limits = limits.unwrap();
    let order = limits.rules.iter().map(|rule| rule.limiter.name());
    assert_eq!(
        order.collect::<Vec<_>>(),
        ["address", "all", "user", "tenant"]
    );
    assert_eq!(limits.early, 2);
    assert!(Limits::new(Vec::new()).is_none());
}

#[test]
fn fields_are_structured_and_the_older_ones_say_what_ends_first() {
    let limits = Limits::new(vec![
        rule("all", By::Route, 100, true),
        rule("address", By::ClientIp, 10, true),
        rule("secret", By::Principal, 1, false),
    ]);
    let limits = limits.unwrap();
    let expected = [
        (
            "ratelimit-policy",
            "\"address\";q=10;w=60, \"all\";q=100;w=60",
        ),
        ("ratelimit", "\"address\";r=9;t=54, \"all\";r=3;t=2"),
        ("ratelimit-limit", "100"),
        ("ratelimit-remaining", "3"),
        ("ratelimit-reset", "2"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        told(&limits, &[left(9, 54), left(3, 2), left(0, 60)]),
        expected
    );
    assert_eq!(told(&limits, &[]), expected[..1]);
    let hidden = Limits::new(vec![rule("secret", By::Route, 1, false)]).unwrap();
    assert_eq!(told(&hidden, &[left(0, 60)]), []);
}
