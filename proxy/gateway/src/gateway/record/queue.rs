//! From the threads that serve requests to the one that writes: lines are collected and taken in batches, since waking the
//! writer for each would cost a request more than the line does.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Puts lines in; cloning shares the queue, which closes when every clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Giver(Arc<Open>);

/// Takes lines out; without it nothing can be put in.
#[derive(Debug)]
pub(super) struct Taker(Arc<Shared>);

/// What was collected.
#[derive(Debug)]
pub(super) struct Taken {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// Whether the file is to be opened anew first.
    pub(super) reopen: bool,
}

#[derive(Debug)]
struct Open(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The taker waits for something to do, or for its end.
    something: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    reopen: bool,
    /// Either end is gone.
    closed: bool,
}

/// A queue of its own.
pub(super) fn queue() -> (Giver, Taker) {
    let shared = Arc::<Shared>::default();
    (Giver(Arc::new(Open(shared.clone()))), Taker(shared))
}

impl Giver {
    /// Puts a line in, with its end; false where there is no room, or nobody who takes.
    pub(super) fn give(&self, line: &[u8]) -> bool {
        let shared = &self.0.0;
        let mut state = shared.state();
        if state.closed || state.lines.len() + line.len() > ROOM {
            return false;
        }
        let first = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        drop(state);
        if first {
            shared.something.notify_one();
        }
        true
    }

    /// Asks for the file to be opened anew before what is put in from now on is written.
    pub(super) fn reopen(&self) {
        let shared = &self.0.0;
        shared.state().reopen = true;
        shared.something.notify_one();
    }
}

impl Taker {
    /// Waits for lines, and a little for more of them; `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Taken> {
        let is_idle = |state: &mut State| state.is_idle() && !state.closed;
        let state = self.0.something.wait_while(self.0.state(), is_idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let wants_more = |state: &mut State| !state.closed && !state.reopen;
        let waited = self.0.something.wait_timeout_while(state, MORE, wants_more);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_idle() {
            return None;
        }
        Some(Taken {
            lines: mem::take(&mut state.lines),
            reopen: mem::take(&mut state.reopen),
        })
    }

    /// Returns the memory of lines that are written, unless it is large.
    pub(super) fn give_back(&self, mut lines: Vec<u8>) {
        let mut state = self.0.state();
        if state.lines.capacity() == 0 && lines.capacity() <= KEPT {
            lines.clear();
            state.lines = lines;
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.something.notify_one();
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && !self.reopen
    }
}

/// Octets that may wait for a slow disk.
pub(super) const ROOM: usize = 8 * 1024 * 1024;
/// How long lines are collected.
const MORE: Duration = Duration::from_millis(20);
/// The most memory that is kept between batches.
const KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_taken_before_the_end() {
        let (giver, taker) = queue();
        let other = giver.clone();
        assert!(giver.give(b"one\n") && other.give(b"two\n"));
        drop(giver);
        let batch = taker.take().unwrap();
        assert_eq!((&*batch.lines, batch.reopen), (&b"one\ntwo\n"[..], false));
        taker.give_back(batch.lines);
        other.reopen();
        assert!(taker.take().unwrap().reopen);
        assert!(other.give(b"end\n"));
        drop(other);
        assert_eq!(taker.take().unwrap().lines, b"end\n");
        assert!(taker.take().is_none());
    }

    #[test]
    fn a_queue_without_a_taker_takes_nothing() {
        let (giver, taker) = queue();
        drop(taker);
        assert!(!giver.give(b"one\n"));
    }

    #[test]
    fn room_is_bounded() {
        let (giver, taker) = queue();
        let half = vec![b'a'; ROOM / 2];
        assert!(giver.give(&half) && giver.give(&half));
        assert!(!giver.give(b"\n"));
        taker.take().unwrap();
        assert!(giver.give(b"\n"));
    }
}
