//! Streams: requests that outlast the moment they were permitted in. What permitted one is kept, decided again whenever
//! anything that it rests on may have changed, and the stream ends with it, also when nothing is being sent.

mod close;
mod frames;
mod held;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use pingora::{Error, proxy::Session};
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval},
};

use super::{Ctx, error::is_over, refuse::Refusal};
use crate::{listen, snapshot::Snapshot};
pub(super) use close::close;
use frames::Frames;
use held::Held;

/// All streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    held: HashMap<u64, Arc<Held>>,
}

/// A stream that is open for as long as this lives.
#[derive(Debug)]
pub(super) struct Stream {
    streams: Arc<Streams>,
    number: u64,
    held: Arc<Held>,
    /// What its server sends, where that is WebSocket.
    frames: Option<Frames>,
}

impl Streams {
    /// Keeps what permitted the request at hand, if it is not kept already; without a permit there is nothing to keep.
    pub(super) fn hold(self: &Arc<Self>, session: &mut Session, ctx: &mut Ctx) {
        if ctx.held.is_some() {
            return;
        }
        let Some(held) = Held::of(ctx) else { return };
        let held = Arc::new(held);
        listen::end_with(session, held.ending.clone());
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.held.insert(number, held.clone());
        drop(open);
        ctx.held = Some(Stream {
            streams: self.clone(),
            number,
            held,
            frames: None,
        });
    }

    /// Ends those that end by themselves only when one of their sides wishes it.
    pub(crate) fn end_endless(&self, why: &Refusal) {
        self.end_those(why, |held| held.is_endless);
    }

    /// Ends all that are open.
    pub(crate) fn end_all(&self, why: &Refusal) {
        self.end_those(why, |_| true);
    }

    fn end_those(&self, why: &Refusal, which: impl Fn(&Held) -> bool) {
        for held in self.open().held.values().filter(|held| which(held)) {
            held.end(why.clone());
        }
    }

    /// Looks at all streams again and again.
    pub(crate) async fn watch(
        self: Arc<Self>,
        current: Arc<ArcSwap<Snapshot>>,
        clock: Arc<dyn engine::Clock>,
    ) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            self.review(&current.load_full(), clock.now()).await;
        }
    }

    /// Ends every stream that is permitted no more.
    async fn review(&self, snapshot: &Snapshot, now: SystemTime) {
        let all: Vec<_> = self.open().held.values().cloned().collect();
        let mut decided = 0;
        for held in all {
            if held.review(snapshot, now).await {
                decided += 1;
                if decided % IN_A_ROW == 0 {
                    yield_now().await;
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// What is sent is WebSocket from here on.
    pub(super) fn speaks_websocket(&mut self) {
        self.frames = Some(Frames::default());
    }

    /// Follows what the server of a WebSocket sends. Once the stream is to end, nothing goes on behind the frame at hand.
    pub(super) fn follow(&mut self, piece: &mut Option<Bytes>) {
        let (Some(frames), Some(octets)) = (&mut self.frames, piece.as_mut()) else {
            return;
        };
        let ending = &self.held.ending;
        if ending.is_asked() && frames.is_between() {
            octets.clear();
            return;
        }
        let whole = frames.follow(octets);
        if let (true, Some(whole)) = (ending.is_asked(), whole) {
            octets.truncate(whole);
            *frames = Frames::default();
        }
        ending.set_busy(!frames.is_between());
    }

    /// Whether a frame of the gate's own can go to the caller.
    fn takes_frame(&self) -> bool {
        let frames = self.frames.as_ref();
        frames.is_some_and(|frames| frames.is_between() && !frames.is_closed())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.open().held.remove(&self.number);
    }
}

impl Ctx {
    /// Why the stream is permitted no more, if that is why it failed.
    pub(super) fn ended(&self, error: &Error) -> Option<Refusal> {
        let stream = self.held.as_ref().filter(|_| is_over(error))?;
        stream.held.why().cloned()
    }
}

/// How often streams are looked at. What changes ends them within two of these, and less than a second.
const PACE: Duration = Duration::from_millis(250);
/// Streams that are decided again before others have their turn.
const IN_A_ROW: usize = 64;
