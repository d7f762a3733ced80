//! The direct way: while a server answers a request without a body there is nothing more to send to it, so one loop asks it and
//! hands its answer on. Pingora's own proxy has a loop for either direction and channels between them, which bodies need.
//!
//! It leads to servers that speak HTTP/1 without TLS; what others speak is known once they are connected to.

use std::{future::ready, sync::Arc};

use bytes::Bytes;
use decision::Permit;
use http::{Version, header};
use pingora::{
    Error, ErrorSource, ErrorType,
    connectors::TransportConnector,
    http::{RequestHeader, ResponseHeader},
    protocols::http::{HttpTask, v1::client::HttpSession},
    proxy::Session,
};

use super::{STREAM_SILENCE, answer, choose, permitted, try_next, upstream_head};
use crate::{
    gateway::{Ctx, Gateway, grpc, head::Head},
    upstream::{Endpoint, Room},
};

/// What connections to servers are made with, and how many of them may wait.
pub(crate) struct Direct {
    connector: TransportConnector,
    room: Arc<Room>,
}

impl Direct {
    /// Keeps so many connections.
    pub(crate) fn keeping(connections: usize) -> Self {
        Self {
            // It could keep connections too, and speak TLS: neither is asked of it.
            connector: TransportConnector::new(None),
            room: Room::of(connections),
        }
    }
}

/// A connection to a server.
struct Connection {
    session: HttpSession,
    endpoint: Arc<Endpoint>,
    /// It has served another request.
    reused: bool,
}

/// Whether a request can go this way.
///
/// INVARIANT: nothing in a head that goes this way says that a body follows it. The server would wait for one, and take the
/// next caller's request for it.
pub(in crate::gateway) fn leads(session: &mut Session, ctx: &Ctx) -> bool {
    let headers = &session.req_header().headers;
    let length = headers.get(header::CONTENT_LENGTH);
    let says_so = length.is_some_and(|length| length != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    let is_plain = |permit: &Permit<Head>| {
        let head = permit.head();
        !head.websocket && !grpc::is_kind(&head.headers)
    };
    !says_so
        && ctx.permit.as_ref().is_some_and(is_plain)
        && session.is_body_empty()
        && ctx.upstream().is_some_and(|upstream| upstream.is_plain())
}

/// Asks a server, and the next one where that cannot be reached, and hands its answer on.
///
/// # Errors
///
/// Of whose making it is: the upstream's, the caller's, or nobody's where it is the gate's.
pub(in crate::gateway) async fn forward(
    gate: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<()> {
    let direct = &gate.direct;
    let mut afresh = false;
    loop {
        let mut connection = match connect(direct, ctx, afresh).await {
            Ok(connection) => connection,
            Err(error) if error.retry() => {
                // What is known of one server says nothing of the next.
                afresh = false;
                continue;
            }
            Err(error) => return Err(error),
        };
        let error = match exchange(gate, &mut connection.session, session, ctx).await {
            Ok(last) => {
                ctx.trace_end();
                // Others can use it while the caller takes the last of the answer.
                release(direct, connection).await;
                ctx.connection = None;
                return write(session, last).await;
            }
            Err(error) => error,
        };
        if !(connection.reused && is_repeatable(session, &error)) {
            if *error.esource() == ErrorSource::Upstream && !has_begun(session) {
                ctx.failed();
            }
            return Err(error);
        }
        // Those that wait beside it may have been closed with it.
        afresh = true;
    }
}

/// Whether a request may be sent again after this error on a connection that others have used: a server may close it while a
/// request is on its way (RFC 9112 section 9.3.1).
fn is_repeatable(session: &Session, error: &Error) -> bool {
    let is_closed = matches!(
        error.etype(),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
    );
    *error.esource() == ErrorSource::Upstream
        && is_closed
        && session.response_written().is_none()
        && session.req_header().method.is_idempotent()
}

async fn connect(direct: &Direct, ctx: &mut Ctx, afresh: bool) -> pingora::Result<Connection> {
    let endpoint = choose(ctx).await?;
    let timeouts = ctx.timeouts();
    let kept = if afresh { None } else { endpoint.idle.take() };
    let reused = kept.is_some();
    let stream = if let Some(stream) = kept {
        stream
    } else {
        let peer = timeouts.peer(&endpoint);
        // Apart, as it is rare and many times the size of all else here, which is copied with each request.
        let made = Box::pin(direct.connector.new_stream(&*peer));
        made.await.map_err(|mut error| {
            error.as_up();
            try_next(ctx, &mut error);
            error
        })?
    };
    let mut session = HttpSession::new(stream);
    session.read_timeout = Some(timeouts.silence);
    session.write_timeout = Some(timeouts.silence);
    Ok(Connection {
        session,
        endpoint,
        reused,
    })
}

/// One request and its answer, handed on but for the last pieces, which it gives.
async fn exchange(
    gate: &Gateway,
    upstream: &mut HttpSession,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<Vec<HttpTask>> {
    let request = Box::new(request(session.req_header(), ctx)?);
    let sent = upstream.write_request_header(request).await;
    sent.map_err(Error::into_up)?;
    loop {
        let tasks = match pieces(gate, upstream, session, ctx).await {
            Ok(tasks) => tasks,
            // Two tasks, the last of which is a failure, send what is written and not sent yet to a caller who is still there.
            Err(error) if has_begun(session) && *error.esource() == ErrorSource::Upstream => {
                vec![HttpTask::Body(None, false), HttpTask::Failed(error)]
            }
            Err(error) => return Err(error),
        };
        if let Some(held) = &mut ctx.held {
            let pieces = tasks.iter().filter_map(piece);
            pieces.for_each(|piece| held.count(Some(piece)));
        }
        if tasks.last().is_some_and(is_last) {
            return Ok(tasks);
        }
        write(session, tasks).await?;
    }
}

/// Whether the caller has the head of his answer.
fn has_begun(session: &Session) -> bool {
    session
        .response_written()
        .is_some_and(|head| !head.status.is_informational())
}

/// Keeps a connection whose answer is whole, if it can be used again.
async fn release(direct: &Direct, connection: Connection) {
    let Connection {
        mut session,
        endpoint,
        ..
    } = connection;
    session.respect_keepalive();
    if let Some(stream) = session.reuse().await {
        endpoint.idle.keep(stream, &direct.room);
    }
}

/// The request as it goes upstream.
fn request(sent: &RequestHeader, ctx: &Ctx) -> pingora::Result<RequestHeader> {
    let mut request = upstream_head(permitted(ctx)?, sent, ctx.rewrite())?;
    request.set_version(Version::HTTP_11);
    ctx.carry_trace(&mut request)?;
    Ok(request)
}

/// What comes next of an answer: a piece of its body, or a head, and what of the body is there with it.
async fn pieces(
    gate: &Gateway,
    upstream: &mut HttpSession,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<Vec<HttpTask>> {
    let mut task = next(upstream, session).await?;
    let HttpTask::Header(head, end) = &mut task else {
        return Ok(vec![task]);
    };
    answer::receive(head, ctx)?;
    if !*end {
        delimit(head)?;
    }
    ctx.complete(head, session.req_header().version)?;
    gate.hold(session, ctx, head.status);
    if ctx.is_stream() {
        let usual = upstream.read_timeout;
        upstream.read_timeout = usual.map(|usual| usual.max(STREAM_SILENCE));
    }
    if *end || head.status.is_informational() {
        return Ok(vec![task]);
    }
    let at_hand = tokio::select! {
        biased;
        piece = upstream.read_response_task() => piece,
        () = ready(()) => return Ok(vec![task]),
    };
    // With what came before it on its way, the answer breaks off.
    let failed = |error: Box<Error>| HttpTask::Failed(error.into_up());
    Ok(vec![task, at_hand.unwrap_or_else(failed)])
}

/// Waits for the server, and no longer than the caller does. The caller is asked each time before anything is waited for, which
/// also sends what was gathered for him (`listen/stalled.rs`).
async fn next(upstream: &mut HttpSession, session: &mut Session) -> pingora::Result<HttpTask> {
    let gone = tokio::select! {
        biased;
        task = upstream.read_response_task() => return task.map_err(Error::into_up),
        gone = session.as_downstream_mut().read_body_or_idle(true) => gone,
    };
    let more = || Error::explain(ErrorType::ConnectError, "more than one request");
    Err(gone.err().unwrap_or_else(more).into_down())
}

/// Has the body of an answer that ends with its connection come in chunks, as its caller's connection goes on.
fn delimit(answer: &mut ResponseHeader) -> pingora::Result<()> {
    let headers = &answer.headers;
    let is_delimited = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.contains_key(header::CONTENT_LENGTH);
    if !is_delimited && !answer.status.is_informational() {
        answer.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(())
}

/// A piece of an answer's body.
fn piece(task: &HttpTask) -> Option<&Bytes> {
    match task {
        HttpTask::Body(piece, _) => piece.as_ref(),
        _ => None,
    }
}

/// Whether the answer has ended as it should.
fn is_last(task: &HttpTask) -> bool {
    task.is_end() && !matches!(task, HttpTask::Failed(_))
}

/// Writes pieces of an answer to the caller; one that is a failure is given back once those before it are on their way.
async fn write(session: &mut Session, tasks: Vec<HttpTask>) -> pingora::Result<()> {
    let written = session.as_downstream_mut().response_duplex_vec(tasks).await;
    written.map(|_| ()).map_err(|mut error| {
        if *error.esource() == ErrorSource::Unset {
            error.as_down();
        }
        error
    })
}
