//! The buckets of many callers in bounded memory, however many there are.
//!
//! A bucket is one number: when it is full again. Buckets stand in small sets, each under a lock of its own; a secret hash of
//! the caller says in which set. Where a set is full, the newcomer takes the place of the bucket that is full soonest, and
//! goes on where that stood. So
//!
//! - nobody gets more than the limit by pushing buckets out, as the newcomer starts no fuller than the one that is gone;
//! - what is pushed out first is what tells least: buckets that are full again, then those from which little was taken.
//!   Strangers who come once each push out each other and never a bucket that is nearly empty;
//! - a lookup looks at one set, whatever is in the table.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{nanos::Nanos, state::StateStore};
use prometheus::IntCounter;

/// A caller's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Print(u64);

/// Buckets by caller.
pub(super) struct Table {
    /// A power of two of them.
    sets: Box<[Mutex<Set>]>,
    /// What one request adds to a bucket's time.
    interval: Nanos,
    crowded: IntCounter,
}

/// INVARIANT: at most [`WAYS`], no two of one caller.
type Set = Vec<Bucket>;

struct Bucket {
    of: Print,
    full_at: Nanos,
}

impl Print {
    pub(super) fn new(hash: u64) -> Self {
        Self(hash)
    }
}

impl Table {
    /// Room for `keys` buckets at least, which is taken when they are needed.
    pub(super) fn new(keys: usize, interval: Duration, crowded: IntCounter) -> Self {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            interval: interval.into(),
            crowded,
        }
    }

    fn set(&self, of: Print) -> Option<&Mutex<Set>> {
        let mask = self.sets.len().wrapping_sub(1);
        let hash = usize::try_from(of.0 & u64::from(u32::MAX)).unwrap_or_default();
        self.sets.get(hash & mask)
    }

    /// How many buckets there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let sets = self.sets.iter();
        sets.map(|set| set.lock().unwrap().len()).sum()
    }

    /// Whether there is a bucket of this caller.
    #[cfg(test)]
    pub(super) fn has(&self, of: Print) -> bool {
        let set = self.set(of).unwrap().lock().unwrap();
        set.iter().any(|bucket| bucket.of == of)
    }

    /// Judges a newcomer by the bucket that is full soonest, and gives it the place.
    fn displace<T, E>(
        &self,
        set: &mut Set,
        of: Print,
        judge: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    ) -> Result<T, E> {
        let Some(soonest) = set.iter_mut().min_by_key(|bucket| bucket.full_at) else {
            return judge(None).map(|(answer, _)| answer);
        };
        let judged = judge(Some(soonest.full_at));
        // From a bucket that is full there is nothing to go on; the newcomer's time starts with now.
        let went_on = |(_, full_at): &(T, Nanos)| *full_at == soonest.full_at + self.interval;
        if judged.as_ref().map_or(true, went_on) {
            self.crowded.inc();
        }
        let (answer, full_at) = judged?;
        *soonest = Bucket { of, full_at };
        Ok(answer)
    }
}

impl StateStore for Table {
    type Key = Print;

    fn measure_and_replace<T, F, E>(&self, key: &Print, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(set) = self.set(*key) else {
            return judge(None).map(|(answer, _)| answer);
        };
        // Nothing panics while a set is between two states.
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = set.iter_mut().find(|bucket| bucket.of == *key) {
            let (answer, full_at) = judge(Some(bucket.full_at))?;
            bucket.full_at = full_at;
            return Ok(answer);
        }
        if set.len() < WAYS {
            let (answer, full_at) = judge(None)?;
            set.push(Bucket { of: *key, full_at });
            return Ok(answer);
        }
        self.displace(&mut set, *key, judge)
    }
}

/// Buckets in a set: enough that sets fill evenly, few enough to look through.
const WAYS: usize = 16;
