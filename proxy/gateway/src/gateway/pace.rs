//! The pace at which a caller must send a body, so that nobody holds a connection, here and upstream, with a byte now and
//! then.

use std::time::{Duration, Instant};

use pingora::{Error, ErrorType};

/// The least that is asked of a caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long it may be silent, and take nothing of its answer.
    pub(crate) silence: Duration,
    /// Over which time its bytes are counted.
    pub(crate) window: Duration,
    /// Bytes a second within that time.
    pub(crate) rate: u32,
}

/// What a caller has sent in the window at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    since: Instant,
    bytes: u64,
}

impl Pace {
    /// The usual pace, with this silence.
    pub(crate) fn with_silence(silence: Duration) -> Self {
        Self {
            silence,
            window: WINDOW,
            rate: RATE,
        }
    }
}

impl Flow {
    /// Nothing yet.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            since: now,
            bytes: 0,
        }
    }

    /// Counts a piece of the body; fails when the window is over and too little came within it.
    pub(super) fn count(&mut self, bytes: usize, now: Instant, pace: &Pace) -> pingora::Result<()> {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < pace.window {
            return Ok(());
        }
        if u128::from(self.bytes) * 1000 < u128::from(pace.rate) * elapsed.as_millis() {
            let error = Error::explain(ErrorType::ReadTimedout, "the body comes too slowly");
            return Err(error.into_down());
        }
        *self = Self::begin(now);
        Ok(())
    }
}

const WINDOW: Duration = Duration::from_secs(30);
/// Half of what the slowest modems did.
const RATE: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drips_end_and_slow_lines_go_on() {
        let pace = Pace::with_silence(Duration::from_mins(1));
        // Bytes, seconds between them, and the piece that is one too many.
        for (bytes, every, end) in [
            (1, 16, Some(2)),
            (64, 1, None),
            (63, 1, Some(30)),
            (4096, 59, None),
        ] {
            let start = Instant::now();
            let mut flow = Flow::begin(start);
            let failed = (1..=100u64).find(|piece| {
                let now = start + Duration::from_secs(piece * every);
                flow.count(bytes, now, &pace).is_err()
            });
            assert_eq!(failed, end, "{bytes} every {every} s");
        }
    }
}
