//! Streams: requests that outlast the moment they were permitted in. What permitted one is kept, decided again whenever
//! anything that it rests on may have changed, and the stream ends with it, also when nothing is being sent.

mod close;
mod frames;
mod held;
mod silence;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use decision::Permit;
use http::{StatusCode, Version, header};
use pingora::{Error, proxy::Session};
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval},
};

use super::{
    Ctx,
    error::is_over,
    forward::WEBSOCKET,
    grpc,
    record::{Recorders, Seen},
    refuse::Refusal,
};
use crate::{
    listen::{self, Line},
    snapshot::Snapshot,
};
pub(super) use close::close;
pub(crate) use frames::Frames;
use held::Held;
use silence::Silence;

/// All streams that are open.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    held: HashMap<u64, Arc<Held>>,
    /// The process ends, and those that are opened from now on end with it.
    closing: Option<Closing>,
}

/// Which streams the end of the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Those that end by themselves only when one of their sides wishes it.
    Endless,
    /// All that are open.
    All,
}

/// A stream that is open for as long as this lives.
#[derive(Debug)]
pub(super) struct Stream {
    streams: Arc<Streams>,
    number: u64,
    held: Arc<Held>,
    /// What its server sends, where that is WebSocket.
    frames: Option<Frames>,
    /// For its record, where nobody tells of its end: the answer's status, and the octets of the answer's body.
    answered: Option<StatusCode>,
    sent: u64,
    recorders: Recorders,
}

impl Streams {
    /// Keeps what permitted the stream at hand; without a permit there is nothing to keep.
    pub(super) fn hold(
        self: &Arc<Self>,
        session: &mut Session,
        ctx: &mut Ctx,
        recorders: &Recorders,
    ) {
        self.keep(session, ctx, recorders, None);
        if let Some(stream) = &ctx.held {
            stream.held.is_to_be_permitted();
        }
    }

    /// Keeps the request at hand in sight, if it is not already.
    fn keep(
        self: &Arc<Self>,
        session: &mut Session,
        ctx: &mut Ctx,
        recorders: &Recorders,
        silence: Option<Silence>,
    ) {
        if ctx.held.is_some() {
            return;
        }
        let Some(held) = Held::of(ctx, silence) else {
            return;
        };
        let held = Arc::new(held);
        listen::end_with(session, held.ending.clone());
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.held.insert(number, held.clone());
        open.close(&held);
        drop(open);
        ctx.held = Some(Stream {
            streams: self.clone(),
            number,
            held,
            frames: None,
            answered: None,
            sent: 0,
            recorders: recorders.clone(),
        });
    }

    /// Makes ready what is known to be a stream before it is answered.
    pub(super) fn prepare(
        self: &Arc<Self>,
        session: &mut Session,
        ctx: &mut Ctx,
        recorders: &Recorders,
        body_silence: Duration,
    ) -> pingora::Result<()> {
        let is_socket = ctx.is_websocket();
        if is_socket {
            // Taken out by admission, for it to count only here.
            let sent = session.req_header_mut();
            sent.insert_header(header::UPGRADE, WEBSOCKET)?;
            if let Some(line) = Line::of(session.digest()) {
                line.tunnel();
            }
        }
        if is_socket || ctx.is_call() {
            session.set_read_timeout(None);
            self.hold(session, ctx, recorders);
            return Ok(());
        }
        let silence = ctx.awaits_body(session).then(|| Silence::new(body_silence));
        if silence.is_some() || ctx.total().is_some() {
            self.keep(session, ctx, recorders, silence);
        }
        Ok(())
    }

    /// Lets go of what turned out to be no stream: its answer ends as any other does, or with its deadline.
    pub(super) fn release(ctx: &mut Ctx) {
        if let Some(silence) = ctx.held.as_ref().and_then(|stream| stream.held.silence()) {
            silence.end();
        }
        let is_kept = |stream: &Stream| {
            stream.held.ending.is_asked()
                || (stream.held.has_deadline() && !stream.held.is_stream())
        };
        ctx.held = ctx.held.take().filter(is_kept);
    }

    /// Ends streams with the process, now and as they are opened.
    pub(crate) fn close(&self, closing: Closing) {
        let mut open = self.open();
        open.closing = Some(closing);
        open.held.values().for_each(|held| open.close(held));
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

impl Open {
    /// Ends a stream, if the process does and it is one of those that go first.
    fn close(&self, held: &Held) {
        match self.closing {
            Some(Closing::All) => held.end(Refusal::GoingAway),
            Some(Closing::Endless) if held.is_endless => held.end(Refusal::GoingAway),
            Some(Closing::Endless) | None => {}
        }
    }
}

impl Stream {
    /// What is sent is WebSocket from here on.
    pub(super) fn speaks_websocket(&mut self) {
        self.frames = Some(Frames::default());
    }

    /// A piece of the request's body goes on.
    pub(super) fn feed(&self) {
        if let Some(silence) = self.held.silence() {
            silence.go_on();
        }
    }

    /// Notes the status of its answer.
    pub(super) fn note(&mut self, status: StatusCode) {
        self.answered = Some(status);
    }

    /// Counts what goes to the caller.
    pub(super) fn count(&mut self, piece: Option<&Bytes>) {
        let octets = piece.map_or(0, Bytes::len);
        let octets = octets.try_into().unwrap_or(u64::MAX);
        self.sent = self.sent.saturating_add(octets);
    }

    /// Follows what the server sends; once the stream is to end, nothing goes on, of a WebSocket nothing behind the frame at
    /// hand.
    pub(super) fn follow(&mut self, piece: &mut Option<Bytes>) -> pingora::Result<()> {
        self.cut(piece)?;
        self.count(piece.as_ref());
        Ok(())
    }

    /// Tells of the end of a request that nobody serves any more.
    pub(super) fn abandoned(self, ctx: &mut Ctx) {
        let why = self.held.why().cloned().unwrap_or(Refusal::GoingAway);
        ctx.refuse(why.clone());
        let took = ctx.conclude(None, Some(&why));
        let Some(head) = ctx.head() else { return };
        let seen = Seen {
            method: &head.method,
            version: head.version,
            headers: &head.headers,
            client: head.client,
            scheme: head.scheme,
            answered: self.answered,
            received: ctx.body,
            sent: self.sent,
        };
        self.recorders.record(ctx, &seen);
        ctx.export(&seen, took);
    }

    fn cut(&mut self, piece: &mut Option<Bytes>) -> pingora::Result<()> {
        let Some(frames) = &mut self.frames else {
            return self.held.ending.check();
        };
        let Some(octets) = piece.as_mut() else {
            return Ok(());
        };
        let ending = &self.held.ending;
        if ending.is_asked() {
            let rest = if frames.is_between() {
                Some(0)
            } else {
                frames.finish(octets)
            };
            octets.truncate(rest.unwrap_or(octets.len()));
        } else {
            frames.follow(octets);
        }
        ending.set_busy(!frames.is_between());
        Ok(())
    }

    /// Whether it outlasts the moment it was permitted in.
    pub(super) fn is_stream(&self) -> bool {
        self.held.is_stream()
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
    /// Whether the request asks to go on as WebSocket, and may.
    pub(super) fn is_websocket(&self) -> bool {
        self.permit.as_ref().is_some_and(|it| it.head().websocket)
    }

    /// Whether the request is a call of gRPC, to servers of which the settings say that they speak HTTP/2: no caller makes his
    /// request a stream by what it says of itself.
    pub(super) fn is_call(&self) -> bool {
        let head = self.permit.as_ref().map(Permit::head);
        head.is_some_and(|head| head.version == Version::HTTP_2 && grpc::is_kind(&head.headers))
            && self.upstream().is_some_and(|upstream| upstream.is_http2())
    }

    /// Whether the body of a request that is no stream is still to come, and may go to a server over HTTP/2.
    pub(super) fn awaits_body(&self, session: &mut Session) -> bool {
        let upstream = self.upstream();
        upstream.is_some_and(|upstream| upstream.may_be_http2()) && !session.is_body_done()
    }

    /// Whether the request is known to be a stream, or was answered with one.
    pub(super) fn is_stream(&self) -> bool {
        self.held.as_ref().is_some_and(Stream::is_stream)
    }

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
