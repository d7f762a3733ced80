//! A fixed clock and a seeded generator, for tests of this crate and of those above it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};
use std::time::{Duration, SystemTime};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::clock::{Clock, from_epoch_ms};
use crate::rng::Rng;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that shows `ms` milliseconds after the epoch.
    pub fn at_ms(ms: i64) -> Self {
        Self(AtomicI64::new(ms))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Default for FixedClock {
    /// 2026-01-01 00:00:00 UTC.
    fn default() -> Self {
        Self::at_ms(1_767_225_600_000)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        from_epoch_ms(self.0.load(Ordering::SeqCst))
    }
}

/// A generator whose output follows from its seed.
#[derive(Debug)]
pub struct SeededRng(Mutex<StdRng>);

impl SeededRng {
    /// A generator seeded with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&self, out: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(out);
    }
}
