//! The direct way: while a server answers a request without a body there is nothing more to send to it, so one loop asks it and
//! hands its answer on. Pingora's own proxy has a loop for either direction and channels between them, which bodies need.
//!
//! It leads to servers that speak HTTP/1 without TLS; what others speak is known once they are connected to.

use std::{future::ready, net::SocketAddr, sync::Arc};

use http::{Method, StatusCode, Version, header};
use pingora::{
    Error, ErrorSource, ErrorType,
    connectors::TransportConnector,
    http::{RequestHeader, ResponseHeader},
    protocols::http::{HttpTask, v1::client::HttpSession},
    proxy::Session,
};

use super::{answer, server, try_next, upstream_head};
use crate::{
    gateway::Ctx,
    upstream::{Room, SILENCE, Server},
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
            connector: TransportConnector::new(None),
            room: Room::of(connections),
        }
    }
}

/// A connection to a server.
struct Line {
    session: HttpSession,
    server: Arc<Server>,
    address: SocketAddr,
    /// It has served another request.
    reused: bool,
}

/// Whether a request can go this way.
pub(in crate::gateway) fn leads(session: &mut Session, ctx: &Ctx) -> bool {
    session.is_body_empty() && ctx.upstream().is_some_and(|upstream| upstream.is_plain())
}

/// Asks a server, and the next one where that cannot be reached, and hands its answer on.
///
/// # Errors
///
/// Of whose making it is: the upstream's, the caller's, or nobody's where it is the gate's.
pub(in crate::gateway) async fn forward(
    direct: &Direct,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<()> {
    let mut afresh = false;
    loop {
        let mut line = match connect(direct, ctx, afresh).await {
            Ok(line) => line,
            Err(error) if error.retry() => continue,
            Err(error) => return Err(error),
        };
        let error = match exchange(&mut line.session, session, ctx).await {
            Ok(last) => {
                // Others can use it while the caller takes the last of the answer.
                release(direct, line).await;
                ctx.connection = None;
                return hand_on(session, last).await;
            }
            Err(error) => error,
        };
        if !(line.reused && is_repeatable(session, &error)) {
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

async fn connect(direct: &Direct, ctx: &mut Ctx, afresh: bool) -> pingora::Result<Line> {
    let (server, address) = server(ctx)?;
    let kept = if afresh {
        None
    } else {
        server.idle.take(address)
    };
    let reused = kept.is_some();
    let stream = if let Some(stream) = kept {
        stream
    } else {
        let peer = server.peer(address);
        // Apart, as it is rare and many times the size of all else here, which is copied with each request.
        let made = Box::pin(direct.connector.new_stream(&*peer));
        made.await.map_err(|mut error| {
            error.as_up();
            try_next(ctx, &mut error);
            error
        })?
    };
    ctx.connection = ctx.upstream().map(|upstream| upstream.connected());
    let mut session = HttpSession::new(stream);
    session.read_timeout = Some(SILENCE);
    session.write_timeout = Some(SILENCE);
    Ok(Line {
        session,
        server,
        address,
        reused,
    })
}

/// One request and its answer, handed on but for the last pieces, which it gives.
async fn exchange(
    upstream: &mut HttpSession,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<Vec<HttpTask>> {
    let request = Box::new(request(session.req_header(), ctx)?);
    let sent = upstream.write_request_header(request).await;
    sent.map_err(Error::into_up)?;
    loop {
        let tasks = pieces(upstream, session, ctx).await?;
        if tasks.last().is_some_and(is_last) {
            return Ok(tasks);
        }
        hand_on(session, tasks).await?;
    }
}

/// Keeps a connection whose answer is whole, if it can be used again.
async fn release(direct: &Direct, line: Line) {
    let mut session = line.session;
    session.respect_keepalive();
    if let Some(stream) = session.reuse().await {
        line.server.idle.keep(stream, line.address, &direct.room);
    }
}

/// The request as it goes upstream.
fn request(sent: &RequestHeader, ctx: &Ctx) -> pingora::Result<RequestHeader> {
    let Some(permit) = &ctx.permit else {
        return Error::e_explain(ErrorType::InternalError, "a request without a permit");
    };
    let mut request = upstream_head(permit.head(), sent)?;
    request.set_version(Version::HTTP_11);
    Ok(request)
}

/// What comes next of an answer: a piece of its body, or its head, and what of the body is there with it.
async fn pieces(
    upstream: &mut HttpSession,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<Vec<HttpTask>> {
    let mut tasks = vec![next(upstream, session).await?];
    while let Some(HttpTask::Header(head, end)) = tasks.last_mut() {
        answer::receive(head)?;
        let asked = session.req_header();
        if !*end {
            delimit(head, &asked.method)?;
        }
        ctx.hand_on(head, asked.version)?;
        if *end {
            break;
        }
        let at_hand = tokio::select! {
            biased;
            task = upstream.read_response_task() => task,
            () = ready(()) => break,
        };
        // With what came before it on its way, the answer breaks off.
        tasks.push(at_hand.unwrap_or_else(|error| HttpTask::Failed(error.into_up())));
    }
    Ok(tasks)
}

/// Waits for the server, and no longer than the caller does.
async fn next(upstream: &mut HttpSession, session: &mut Session) -> pingora::Result<HttpTask> {
    let gone = tokio::select! {
        biased;
        task = upstream.read_response_task() => return task.map_err(Error::into_up),
        gone = session.as_downstream_mut().read_body_or_idle(true) => gone,
    };
    let why = "the caller sends more than his request";
    Err(gone
        .err()
        .unwrap_or_else(|| Error::explain(ErrorType::ConnectError, why))
        .into_down())
}

/// Has the body of an answer that ends with its connection come in chunks, as its caller's connection goes on.
fn delimit(answer: &mut ResponseHeader, method: &Method) -> pingora::Result<()> {
    let status = answer.status;
    let has_body = *method != Method::HEAD
        && !status.is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    let is_delimited = |name| answer.headers.contains_key(name);
    if has_body && !is_delimited(header::TRANSFER_ENCODING) && !is_delimited(header::CONTENT_LENGTH)
    {
        answer.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(())
}

/// Whether the answer has ended as it should.
fn is_last(task: &HttpTask) -> bool {
    task.is_end() && !matches!(task, HttpTask::Failed(_))
}

async fn hand_on(session: &mut Session, tasks: Vec<HttpTask>) -> pingora::Result<()> {
    let written = session.as_downstream_mut().response_duplex_vec(tasks).await;
    written.map(|_| ()).map_err(|mut error| {
        if *error.esource() == ErrorSource::Unset {
            error.as_down();
        }
        error
    })
}
