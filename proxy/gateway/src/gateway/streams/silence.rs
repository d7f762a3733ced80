//! How long a server may be silent that is sent a body over HTTP/2: Pingora counts from the request's head, as if the body were
//! there by then.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// From one piece of the body to the next, and from the last one to the answer.
#[derive(Debug)]
pub(super) struct Silence {
    most: Duration,
    born: Instant,
    /// Milliseconds since then until which it may last; 0 once the answer is there.
    until: AtomicU64,
}

impl Silence {
    /// It may last so long from now on.
    pub(super) fn new(most: Duration) -> Self {
        let silence = Self {
            most,
            born: Instant::now(),
            until: AtomicU64::new(0),
        };
        silence.go_on();
        silence
    }

    /// A piece went there, so it begins anew.
    pub(super) fn go_on(&self) {
        let until = millis(self.born.elapsed().saturating_add(self.most));
        self.until.store(until, Ordering::Relaxed);
    }

    /// The answer has begun.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    /// Whether the answer has not begun.
    pub(super) fn is_awaited(&self) -> bool {
        self.until.load(Ordering::Relaxed) > 0
    }

    /// Whether it has lasted for too long.
    pub(super) fn is_over(&self) -> bool {
        self.is_awaited() && millis(self.born.elapsed()) > self.until.load(Ordering::Relaxed)
    }
}

fn millis(since: Duration) -> u64 {
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_anew_with_each_piece_and_ends_with_the_answer() {
        let mut silence = Silence::new(Duration::from_mins(1));
        assert!(silence.is_awaited() && !silence.is_over());
        let later = |silence: &mut Silence| {
            silence.born = silence.born.checked_sub(Duration::from_secs(61)).unwrap();
        };
        later(&mut silence);
        assert!(silence.is_over());
        silence.go_on();
        assert!(!silence.is_over(), "a piece went there");
        later(&mut silence);
        silence.end();
        assert!(!silence.is_awaited() && !silence.is_over());
    }
}
