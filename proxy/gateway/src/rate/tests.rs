//! Rate limits by a clock that the test moves.

use std::{collections::HashMap, net::Ipv4Addr};

use governor::clock::FakeRelativeClock;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn limit(by: By, requests: u32, per_seconds: u32, burst: u32, keys: u32) -> RateLimit {
    let number = |number| NonZeroU32::new(number).unwrap();
    RateLimit {
        name: "test".into(),
        by,
        requests: number(requests),
        per_seconds: number(per_seconds),
        burst: number(burst),
        keys,
        announce: true,
    }
}

struct World {
    clock: FakeRelativeClock,
    crowded: IntCounter,
    limiter: Limiter<FakeRelativeClock>,
}

fn world(limit: RateLimit) -> World {
    let clock = FakeRelativeClock::default();
    // Nobody begins at the first nanosecond there is.
    clock.advance(MINUTE);
    let crowded = IntCounter::new("crowded", "-").unwrap();
    let limiter = Limiter::with_clock(limit, None, crowded.clone(), clock.clone());
    World {
        clock,
        crowded,
        limiter,
    }
}

impl World {
    fn pass(&self, caller: u32) -> bool {
        self.limiter.take(&address(caller)).is_ok()
    }

    /// How many of that many requests pass.
    fn passed(&self, caller: u32, requests: usize) -> usize {
        (0..requests).filter(|_| self.pass(caller)).count()
    }
}

fn address(number: u32) -> Key<'static> {
    Key::Client(Ipv4Addr::from(number).into())
}

#[test]
fn a_bucket_is_emptied_and_fills_up_at_its_rate() {
    for by in [By::Route, By::ClientIp] {
        let world = world(limit(by, 100, 60, 20, 1024));
        assert_eq!(world.passed(1, 30), 20);
        world.clock.advance(Duration::from_millis(599));
        assert!(!world.pass(1));
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(world.passed(1, 2), 1);
        world.clock.advance(Duration::from_secs(6));
        assert_eq!(world.passed(1, 30), 10);
        world.clock.advance(MINUTE);
        assert_eq!(world.passed(1, 30), 20, "it never holds more");
    }
}

#[test]
fn what_is_left_and_how_long_to_wait_are_told() {
    let world = world(limit(By::ClientIp, 2, 7, 2, 1024));
    let left = |requests, seconds| Left { requests, seconds };
    let take = || world.limiter.take(&address(1));
    assert_eq!((world.limiter.burst(), world.limiter.window()), (2, 7));
    assert_eq!(take(), Ok(left(1, 4)));
    assert_eq!(take(), Ok(left(0, 4)));
    assert_eq!(take(), Err(left(0, 4)), "3.5 s, rounded up");
    world.clock.advance(Duration::from_millis(3400));
    assert_eq!(take(), Err(left(0, 1)), "never 0");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(take(), Ok(left(0, 4)), "as long as told was enough");
}

#[test]
fn a_client_that_waits_as_told_is_never_refused_twice() {
    for (requests, per_seconds, burst) in [(1, 1, 1), (7, 60, 3), (1000, 1, 1), (3, 86400, 3)] {
        let world = world(limit(By::ClientIp, requests, per_seconds, burst, 1024));
        for _ in 0..50 {
            if let Err(left) = world.limiter.take(&address(1)) {
                world.clock.advance(Duration::from_secs(left.seconds));
                assert!(world.pass(1), "{requests} in {per_seconds}");
            }
        }
    }
}

#[test]
fn callers_have_buckets_of_their_own() {
    let world = world(limit(By::Principal, 1, 60, 1, 1024));
    let claim = |value| Key::Claim { issuer: "a", value };
    let keys = [
        Key::Principal {
            issuer: "a",
            id: "bc",
        },
        Key::Principal {
            issuer: "ab",
            id: "c",
        },
        Key::Claim {
            issuer: "ab",
            value: Said::Text("c"),
        },
        claim(Said::Text("1")),
        claim(Said::Number("1")),
        claim(Said::Number("2")),
        claim(Said::Truth(true)),
        claim(Said::Text("true")),
        Key::Nameless,
    ];
    for key in &keys {
        assert!(world.limiter.take(key).is_ok(), "{key:?}");
    }
    for key in &keys {
        assert!(world.limiter.take(key).is_err(), "{key:?}");
    }
}

#[test]
fn exactly_as_many_pass_as_there_are_whoever_comes_first() {
    for by in [By::Route, By::ClientIp] {
        let limiter = Limiter::new(
            limit(by, 1, 3600, 100, 1024),
            None,
            IntCounter::new("crowded", "-").unwrap(),
        );
        let passed: usize = std::thread::scope(|scope| {
            let run = || {
                let taken = (0..500).map(|_| limiter.take(&address(1)));
                taken.flatten().count()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
    }
}

#[test]
fn a_million_strangers_take_no_more_room_and_push_out_nobody_who_counts() {
    let world = world(limit(By::ClientIp, 5, 900, 5, 4096));
    let known: Vec<u32> = (0..50).map(|n| 4_000_000_000 + n).collect();
    for caller in &known {
        assert_eq!(world.passed(*caller, 6), 5);
    }
    for stranger in 0..1_000_000 {
        world.limiter.take(&address(stranger)).ok();
    }
    assert!(world.crowded.get() > 900_000);
    let Buckets::Many(buckets) = world.limiter.buckets else {
        panic!("one bucket")
    };
    let table = buckets.into_state_store();
    assert_eq!(table.len(), 4096);
    // Their buckets are there: nobody got a fresh one by the flood.
    let hasher = &world.limiter.hasher;
    let kept = known.iter().filter(|caller| {
        let print = Print::new(hasher.hash_one(address(**caller)));
        table.has(print)
    });
    assert_eq!(kept.count(), known.len());
}

#[test]
fn a_flood_passes_no_more_than_the_buckets_there_are_allow() {
    let world = world(limit(By::ClientIp, 1, 3600, 3, 1024));
    let passed = (0..200_000).filter(|caller| world.pass(*caller)).count();
    assert_eq!(passed, 3 * 1024, "each bucket gave what it held");
    // Newcomers wait with the others, and are let in again as buckets fill up.
    assert!(!world.pass(1_000_000));
    world.clock.advance(Duration::from_hours(3));
    let mut by_caller: HashMap<u32, usize> = HashMap::new();
    for caller in 2_000_000..2_000_100 {
        by_caller.insert(caller, world.passed(caller, 5));
    }
    assert!(
        by_caller.values().all(|passed| *passed == 3),
        "{by_caller:?}"
    );
}

#[test]
fn buckets_that_are_full_again_make_room() {
    let world = world(limit(By::ClientIp, 60, 60, 10, 1024));
    for round in 0..20 {
        for caller in 0..500 {
            assert!(world.pass(round * 1000 + caller));
        }
        world.clock.advance(Duration::from_millis(1001));
    }
    // Sets fill unevenly; but what is full again is nobody's loss.
    assert!(world.crowded.get() < 20 * 25, "{}", world.crowded.get());
}
