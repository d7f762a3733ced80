//! Time as an argument: logic asks a `Clock`, never the system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time; one instance a process, a fixed one in tests.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock for the engine"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Milliseconds since the epoch; 0 for a clock before 1970.
pub fn epoch_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The time `ms` milliseconds after the epoch; the epoch for negative values.
pub fn from_epoch_ms(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
