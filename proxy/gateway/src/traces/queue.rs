//! From the threads that serve requests to the task that exports: spans are collected and taken in batches.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

/// Spans that wait.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something has come, or enough for a batch.
    something: Notify,
    closing: watch::Sender<bool>,
}

/// Spans that go together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Each as a field of `ScopeSpans`.
    pub(super) octets: Vec<u8>,
    /// How many there are.
    pub(super) spans: u64,
}

#[derive(Debug, Default)]
struct State {
    /// None is over [`BATCH`], and only the last takes more.
    batches: VecDeque<Batch>,
    octets: usize,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            something: Notify::new(),
            closing: watch::Sender::new(false),
        }
    }

    /// Puts spans in, which stay together; false where there is no room.
    pub(super) fn give(&self, octets: &[u8], spans: u64) -> bool {
        let mut state = self.state();
        if state.octets + octets.len() > ROOM {
            return false;
        }
        let before = state.batches.len();
        state.push(octets, spans);
        let is_new = state.batches.len() > before;
        drop(state);
        if is_new {
            self.something.notify_one();
        }
        true
    }

    /// Waits for spans, and a little for more of them; `None` when the queue is closed and empty. There is one who takes.
    pub(super) async fn take(&self) -> Option<Batch> {
        let mut closing = self.closing.subscribe();
        while self.state().batches.is_empty() {
            if *closing.borrow_and_update() {
                return None;
            }
            tokio::select! {
                () = self.something.notified() => {}
                _ = closing.changed() => {}
            }
        }
        let enough = async {
            while self.state().batches.len() < 2 {
                self.something.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = enough => {}
            () = self.closing() => {}
            () = sleep(MORE) => {}
        }
        self.state().pop()
    }

    /// Asks for the end: what is there is taken without waiting for more.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits for the end to be asked for.
    pub(super) async fn closing(&self) {
        // An error is a sender that is gone, which is an end too.
        let _ = self.closing.subscribe().wait_for(|it| *it).await;
    }

    /// Whether the end was asked for.
    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// How many spans wait.
    pub(super) fn len(&self) -> u64 {
        self.state().batches.iter().map(|batch| batch.spans).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, octets: &[u8], spans: u64) {
        self.octets += octets.len();
        let last = self.batches.back_mut();
        if let Some(last) = last.filter(|last| last.octets.len() + octets.len() <= BATCH) {
            last.octets.extend_from_slice(octets);
            last.spans += spans;
        } else {
            self.batches.push_back(Batch {
                octets: octets.to_vec(),
                spans,
            });
        }
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.octets -= batch.octets.len();
        Some(batch)
    }
}

/// Octets that may wait for a slow collector: some eight thousand spans.
const ROOM: usize = 4 * 1024 * 1024;
/// Octets that go at once.
const BATCH: usize = 512 * 1024;
/// How long spans are collected.
const MORE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn spans_are_collected_and_all_are_taken_before_the_end() {
        let queue = Queue::new();
        let begun = Instant::now();
        assert!(queue.give(b"one", 1) && queue.give(b"two", 2));
        let batch = queue.take().await.unwrap();
        assert_eq!((&*batch.octets, batch.spans), (&b"onetwo"[..], 3));
        assert!(begun.elapsed() >= MORE);
        assert!(queue.give(b"end", 1));
        assert_eq!(queue.len(), 1);
        queue.close();
        assert_eq!(queue.take().await.unwrap().octets, b"end");
        assert_eq!(queue.take().await, None);
        assert!(begun.elapsed() < MORE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken() {
        let queue = Queue::new();
        let (batch, ()) = tokio::join!(queue.take(), async {
            sleep(MORE * 9).await;
            assert!(queue.give(b"one", 1));
        });
        assert_eq!(batch.unwrap().octets, b"one");
        let (none, ()) = tokio::join!(queue.take(), async {
            sleep(MORE * 9).await;
            queue.close();
        });
        assert_eq!(none, None);
    }

    #[tokio::test(start_paused = true)]
    async fn enough_is_not_waited_with_and_too_much_is_not_taken() {
        let queue = Queue::new();
        let begun = Instant::now();
        let piece = vec![0; BATCH - 1];
        let mut taken = 0;
        while queue.give(&piece, 1) {
            taken += 1;
        }
        assert_eq!(taken, 8);
        assert!(!queue.give(&piece, 1), "there is no more room");
        assert_eq!(queue.take().await.unwrap().octets.len(), piece.len());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(queue.give(&piece, 1), "there is room again");
    }
}
