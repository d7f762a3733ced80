//! The gate: Pingora's phases, each one call into its own module.
//!
//! INVARIANT: what goes upstream is built from [`Ctx::permit`] alone, and without one [`forward`] gives neither a server nor a
//! head; so a check that is forgotten forwards nothing.

pub(crate) mod admit;
mod cors;
mod decide;
mod error;
pub(crate) mod forward;
pub(crate) mod grpc;
pub(crate) mod head;
mod identify;
pub(crate) mod judge;
mod limit;
pub(crate) mod linger;
mod pace;
pub(crate) mod record;
pub(crate) mod refuse;
pub(crate) mod request_id;
mod respond;
mod streams;
pub(crate) mod trace;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use decision::{Decided, Permit};
use http::{HeaderValue, StatusCode};
use pingora::{
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    protocols::Digest,
    proxy::{FailToProxy, ProxyHttp, Session},
    upstreams::peer::HttpPeer,
};

use crate::{
    listen::{self, Connections, Counted, Line},
    metrics::{Metrics, Outcome, Stream},
    mount::Mount,
    snapshot::{Plan, Snapshot},
    status::Status,
    upstream::{Endpoint, InUse, Turn},
};
pub(crate) use cors::Cors;
pub(crate) use decide::Guards;
use forward::{answer, direct};
pub(crate) use forward::{direct::Direct, timeouts::Timeouts};
use head::Head;
use identify::Caller;
pub(crate) use limit::{Limits, Rule};
use pace::Flow;
pub(crate) use pace::Pace;
use record::{Micros, Recorders, Seen};
pub(crate) use refuse::Refusal;
use request_id::RequestId;
pub(crate) use respond::Answer;
pub(crate) use streams::{Closing, Frames, Streams};
use trace::Trace;

/// What all requests share.
pub(crate) struct Gateway {
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    pub(crate) mount: Option<Mount>,
    pub(crate) clock: Arc<dyn engine::Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) recorders: Recorders,
    pub(crate) pace: Pace,
    /// Requests to upstreams that are under way.
    pub(crate) requests: Arc<Connections>,
    pub(crate) direct: Direct,
    pub(crate) streams: Arc<Streams>,
    pub(crate) status: Arc<Status>,
}

/// One request on its way.
pub(crate) struct Ctx {
    started: Instant,
    /// When the stage at hand began.
    stage: Instant,
    time: SystemTime,
    snapshot: Arc<Snapshot>,
    request_id: RequestId,
    trace: Option<Trace>,
    plan: Option<Arc<Plan>>,
    caller: Option<Caller>,
    permit: Option<Permit<Head>>,
    denied: Option<Box<Decided>>,
    /// Method, host and path, for what is not forwarded.
    head: Option<Head>,
    refusal: Option<Refusal>,
    /// What the route's rate limits have left.
    asked: limit::Asked,
    /// What the route allows the caller's origin, where it is asked.
    origin: Option<HeaderValue>,
    outcome: Outcome,
    turn: Turn,
    /// Servers that could not be reached.
    tried: Vec<Arc<Endpoint>>,
    /// The server that is asked, or was asked last.
    endpoint: Option<Arc<Endpoint>>,
    /// Its place among the requests there.
    connection: Option<InUse>,
    stream: Option<Stream>,
    /// What permitted it, for as long as it is open.
    held: Option<streams::Stream>,
    micros: Micros,
    /// From the first piece of a body that is forwarded.
    flow: Option<Flow>,
    /// Its place among the requests that may be under way.
    place: Option<Counted>,
    /// Octets of the body so far.
    body: u64,
    /// Interim answers so far.
    interim: u8,
    /// The answer's status says that it has no body.
    is_bodiless: bool,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        let now = Instant::now();
        Ctx {
            started: now,
            stage: now,
            time: self.clock.now(),
            snapshot: self.current.load_full(),
            request_id: RequestId::none(),
            trace: None,
            plan: None,
            caller: None,
            permit: None,
            denied: None,
            head: None,
            refusal: None,
            asked: limit::Asked::new(),
            origin: None,
            outcome: Outcome::Abort,
            turn: Turn::Number(0),
            tried: Vec::new(),
            endpoint: None,
            connection: None,
            stream: None,
            held: None,
            micros: Micros::default(),
            flow: None,
            place: None,
            body: 0,
            interim: 0,
            is_bodiless: false,
        }
    }

    /// Nothing stands between the caller and the phases below; in particular, no compression.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
        // A body that nobody reads is drained before the connection is used again, but not for long.
        session.set_total_drain_timeout(Some(DRAIN));
        session.set_read_timeout(Some(self.pace.silence));
        if self.status.is_leaving() {
            session.set_keepalive(None);
        }
        // A connection has a limit of its own (`listen`), a stream on it that waits for its window none.
        if session.as_http1().is_none() {
            session.set_write_timeout(Some(self.pace.silence));
        }
        let mut judged = judge::judge(self, session, ctx).await;
        if let Err(error) = &mut judged {
            error::mark(error);
        }
        let verdict = judged?;
        if matches!(verdict, judge::Verdict::Forward) {
            let silence = ctx.body_silence(&self.pace);
            self.streams
                .prepare(session, ctx, &self.recorders, silence)?;
        }
        match verdict {
            judge::Verdict::Forward if direct::leads(session, ctx) => {
                direct::forward(self, session, ctx).await?;
                Ok(true)
            }
            judge::Verdict::Forward => Ok(false),
            judge::Verdict::Served => Ok(true),
            judge::Verdict::Refused(refusal) => {
                ctx.refuse(refusal.clone());
                Box::pin(refuse::respond(session, &refusal, ctx)).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora::Result<Box<HttpPeer>> {
        let mut peer = forward::peer(ctx).await?;
        if ctx.is_stream() {
            forward::await_stream(&mut peer, ctx);
        } else if !session.is_body_done() {
            let is_watched = ctx.awaits_body(session);
            forward::await_body(&mut peer, ctx.body_silence(&self.pace), is_watched);
        }
        Ok(peer)
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<pingora::Error>,
    ) -> Box<pingora::Error> {
        forward::try_next(ctx, &mut error);
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<pingora::Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<pingora::Error> {
        forward::try_again(session, ctx, &mut error, reused);
        error
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        // Tried again, the body is sent from its start.
        (ctx.body, ctx.flow) = (0, None);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        // An HTTP/2 body may end in an empty frame. Pingora would write that as a last chunk and then the last chunk, and
        // the second would stand before the next caller's request on the upstream's connection.
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        ctx.count_body(body.as_ref());
        if let Some(held) = &ctx.held {
            held.feed();
        }
        if session.was_upgraded() {
            return Ok(());
        }
        ctx.check_body()?;
        // What is a stream may be as slow as it likes.
        if ctx.is_call() {
            return Ok(());
        }
        if end || listen::is_answering(session.req_header(), session.response_written()) {
            return Ok(());
        }
        let now = Instant::now();
        let flow = ctx.flow.get_or_insert_with(|| Flow::begin(now));
        flow.count(body.as_ref().map_or(0, Bytes::len), now, &self.pace)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        forward::request(request, ctx)?;
        forward::ask_for_body(session, request).await
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        answer::receive(response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        ctx.complete(response, session.req_header().version)?;
        self.hold(session, ctx, response.status);
        if response.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(held) = &mut ctx.held
        {
            held.speaks_websocket();
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<Option<Duration>> {
        if end {
            ctx.trace_end();
        }
        // On HTTP/2 an upstream can send one all the same.
        if ctx.is_bodiless {
            *body = None;
        }
        if let Some(held) = &mut ctx.held {
            held.follow(body)?;
        }
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &pingora::Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        error::answer(session, error, ctx).await
    }

    /// What fails is in the record, with its reason; Pingora's line would say it twice.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, error: &pingora::Error) -> bool {
        // The rest of it may have a head in it, with what is secret there.
        let (kind, source) = (error.etype().as_str(), error.esource().as_str());
        tracing::debug!(kind, source, "Request failed");
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&pingora::Error>, ctx: &mut Ctx) {
        if error.is_some_and(error::is_reset)
            && let Some(line) = Line::of(session.digest())
        {
            line.broken_off(Instant::now());
        }
        let why = error.and_then(|error| ctx.ended(error));
        ctx.held = None;
        let took = ctx.conclude(error, why.as_ref());
        let seen = Seen::of(session, ctx);
        self.recorders.record(ctx, &seen);
        ctx.export(&seen, took);
    }
}

impl Gateway {
    /// Holds the permit of an answer that is a stream, and of no other.
    fn hold(&self, session: &mut Session, ctx: &mut Ctx, status: StatusCode) {
        let is_interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        if is_interim {
            return;
        }
        if ctx.stream.is_some() {
            self.streams.hold(session, ctx, &self.recorders);
        } else {
            Streams::release(ctx);
        }
        if let Some(held) = &mut ctx.held {
            held.note(status);
        }
    }
}

impl Ctx {
    /// Counts it, as ended by that error or for that reason; says how long it took.
    fn conclude(&mut self, error: Option<&pingora::Error>, why: Option<&Refusal>) -> Duration {
        if let Some(stream) = self.stream.take() {
            stream.end(error, why);
        }
        let took = self.started.elapsed();
        self.micros.total = micros(took);
        if let Some(plan) = &self.plan {
            plan.metrics.count(self.outcome, took);
        } else {
            self.snapshot.unrouted.count(self.outcome, took);
        }
        took
    }

    /// Counts a piece of the body.
    fn count_body(&mut self, piece: Option<&Bytes>) {
        let octets = piece.map_or(0, Bytes::len);
        self.body = self
            .body
            .saturating_add(octets.try_into().unwrap_or(u64::MAX));
    }

    /// Fails where the body has become longer than its route takes.
    fn check_body(&self) -> pingora::Result<()> {
        match &self.plan {
            Some(plan) if self.body > plan.body_limit => error::too_large(),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.outcome = match refusal.line().status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => {
                Outcome::Deny
            }
            status if status.is_server_error() => Outcome::Error,
            _ => Outcome::Refuse,
        };
        self.refusal = Some(refusal);
        // It goes nowhere, or has come back, while its caller may be sending for some time yet.
        (self.place, self.connection) = (None, None);
    }

    /// The head, wherever it is on its way.
    fn head(&self) -> Option<&Head> {
        self.permit
            .as_ref()
            .map(Permit::head)
            .or(self.head.as_ref())
    }
}

/// A stream may be abandoned, and whatever is under way be cut off with the process: then nobody tells of its end but this.
impl Drop for Ctx {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandoned(self);
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

const DRAIN: Duration = Duration::from_secs(2);
