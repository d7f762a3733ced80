//! The embedded engine, answered from the gate: a Pingora session on one side, a tower service on the other.
//!
//! The service runs on the engine's runtime, so that gate workers never wait for the store or a hash. Bodies cross in both
//! directions by bounded channels, and the call is dropped when its caller leaves.

mod incoming;

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Version, header, response::Parts};
use http_body_util::BodyExt as _;
use pingora::{Error, ErrorType, OrErr as _, http::ResponseHeader, proxy::Session};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use incoming::{Feed, Piece};

use crate::gateway::{head::Head, linger, request_id::REQUEST_ID};

/// A service and the runtime it runs on; cloning shares the service.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    router: Arc<ArcSwap<Router>>,
    runtime: Handle,
    body_deadline: Duration,
}

/// What was not served, though the session is still good for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// The request's body is over the limit.
    BodyTooLarge,
    /// The request's body did not come in time.
    BodyTimeout,
    /// The service failed before it answered.
    Failed,
}

enum Part {
    Head(Box<Parts>),
    Data(Bytes),
}

impl Mount {
    /// Mounts a service whose requests' bodies come whole before the deadline.
    pub(crate) fn new(router: Router, runtime: Handle, body_deadline: Duration) -> Self {
        Self {
            router: Arc::new(ArcSwap::from_pointee(router)),
            runtime,
            body_deadline,
        }
    }

    /// Serves with another service from the next request on; what is under way ends as it began.
    pub(crate) fn replace(&self, router: Router) {
        self.router.store(Arc::new(router));
    }

    /// Answers the session's request, with these header fields too; `Ok(Err(_))` where nothing has been written yet.
    pub(crate) async fn serve(
        &self,
        session: &mut Session,
        head: &Head,
        request_id: &str,
        told: Vec<(HeaderName, HeaderValue)>,
    ) -> pingora::Result<Result<StatusCode, Unserved>> {
        if declared_length(session).is_some_and(|length| length > MAX_BODY) {
            return Ok(Err(Unserved::BodyTooLarge));
        }
        if expects_continue(session) {
            session.write_continue_response().await?;
        }
        let (feed, incoming) = incoming::channel(CHANNEL);
        let request = request(session, head, request_id, Body::new(incoming))?;
        let (out, mut parts) = mpsc::channel(CHANNEL);
        let router = Router::clone(&self.router.load());
        let call = self.runtime.spawn(call(router, request, out));
        let _call = AbortOnDrop(JoinHandle::abort_handle(&call));
        let mut head = match exchange(session, feed, &mut parts, self.body_deadline).await? {
            Ok(head) => head,
            Err(unserved) => return Ok(Err(unserved)),
        };
        head.headers.extend(told);
        respond(session, *head, &mut parts, request_id)
            .await
            .map(Ok)
    }
}

/// Drops the call when its caller is gone.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs the service, and hands over its answer piece by piece.
async fn call(router: Router, request: Request<Body>, out: mpsc::Sender<Part>) {
    let (parts, mut body) = match router.oneshot(request).await {
        Ok(response) => response.into_parts(),
        Err(never) => match never {},
    };
    if out.send(Part::Head(Box::new(parts))).await.is_err() {
        return;
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // The receiver sees the channel close before the declared length, and closes the connection.
            tracing::error!("The engine's answer broke off");
            return;
        };
        if let Ok(data) = frame.into_data()
            && out.send(Part::Data(data)).await.is_err()
        {
            return;
        }
    }
}

/// Gives the service the request's body, and waits for its answer to begin.
async fn exchange(
    session: &mut Session,
    feed: Feed,
    parts: &mut mpsc::Receiver<Part>,
    deadline: Duration,
) -> pingora::Result<Result<Box<Parts>, Unserved>> {
    let given = tokio::select! {
        biased;
        part = parts.recv() => return Ok(answered(part)),
        given = feed_body(session, feed, deadline) => given?,
    };
    match given {
        // A service that has read enough answers soon; what still comes of the body is no sign of its caller.
        Ok(()) if !session.is_body_done() => Ok(timeout(deadline, parts.recv())
            .await
            .map_or(Err(Unserved::Failed), answered)),
        Ok(()) => wait(session, parts).await,
        Err(unserved) => Ok(Err(unserved)),
    }
}

/// Feeds the body to its end, or for as long as the service reads it.
async fn feed_body(
    session: &mut Session,
    feed: Feed,
    deadline: Duration,
) -> pingora::Result<Result<(), Unserved>> {
    let mut too_late = pin!(sleep(deadline));
    let mut seen = 0;
    while !session.is_body_done() {
        let chunk = tokio::select! {
            biased;
            () = &mut too_late => return Ok(Err(Unserved::BodyTimeout)),
            chunk = session.read_body_or_idle(false) => chunk?,
        };
        // Trailers end a body on HTTP/2, though as long as nobody takes them it does not count as done.
        let Some(chunk) = chunk else { break };
        seen += chunk.len();
        if seen > MAX_BODY {
            return Ok(Err(Unserved::BodyTooLarge));
        }
        if feed.send(Piece::Data(chunk)).await.is_err() {
            return Ok(Ok(()));
        }
    }
    // A service that reads no further needs no end.
    let _ = feed.send(Piece::End).await;
    Ok(Ok(()))
}

/// Waits for the answer, or for the caller to leave, which is an error.
async fn wait(
    session: &mut Session,
    parts: &mut mpsc::Receiver<Part>,
) -> pingora::Result<Result<Box<Parts>, Unserved>> {
    let part = tokio::select! {
        biased;
        part = parts.recv() => part,
        left = session.read_body_or_idle(true) => {
            left?;
            parts.recv().await
        }
    };
    Ok(answered(part))
}

fn answered(part: Option<Part>) -> Result<Box<Parts>, Unserved> {
    match part {
        Some(Part::Head(head)) => Ok(head),
        _ => Err(Unserved::Failed),
    }
}

/// Writes the service's answer.
async fn respond(
    session: &mut Session,
    parts: Parts,
    body: &mut mpsc::Receiver<Part>,
    request_id: &str,
) -> pingora::Result<StatusCode> {
    let status = parts.status;
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    let sending = linger::is_sending(session);
    let bodiless = session.req_header().method == http::Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let length: Option<usize> = number(parts.headers.get(header::CONTENT_LENGTH));
    let mut out = ResponseHeader::build(status, Some(parts.headers.len() + 2))?;
    for (name, value) in &parts.headers {
        out.append_header(name.clone(), value.clone())?;
    }
    if session.req_header().version == Version::HTTP_11 && !bodiless && length.is_none() {
        out.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    out.insert_header(REQUEST_ID, request_id)?;
    session
        .write_response_header(Box::new(out), bodiless)
        .await?;
    if bodiless {
        session.as_downstream_mut().finish_body().await?;
    } else {
        write_body(session, body, length).await?;
    }
    if sending {
        linger::read_rest(session).await;
    }
    Ok(status)
}

/// Writes the body of the service's answer, which has this length if it was declared.
async fn write_body(
    session: &mut Session,
    body: &mut mpsc::Receiver<Part>,
    length: Option<usize>,
) -> pingora::Result<()> {
    let mut written = 0;
    while let Some(part) = body.recv().await {
        if let Part::Data(data) = part {
            written += data.len();
            session.write_response_body(Some(data), false).await?;
        }
    }
    if length.is_some_and(|length| length != written) {
        let error = Error::explain(ErrorType::InternalError, "the engine's answer broke off");
        return Err(error.into_in());
    }
    session.write_response_body(None, true).await
}

/// The request as the service sees it: the canonical head, with `Host` and the body's length as they were signed.
fn request(
    session: &Session,
    head: &Head,
    request_id: &str,
    body: Body,
) -> pingora::Result<Request<Body>> {
    let mut request = Request::builder()
        .method(head.method.clone())
        .uri(head.target())
        .version(session.req_header().version)
        .extension(ConnectInfo(SocketAddr::new(head.client, 0)))
        .extension(api::RequestId(request_id.to_owned()))
        .body(body)
        .or_err(
            ErrorType::InternalError,
            "the request cannot be handed over",
        )
        .map_err(Error::into_in)?;
    *request.headers_mut() = head.headers.clone();
    let sent = &session.req_header().headers;
    for name in [header::HOST, header::CONTENT_LENGTH] {
        if let Some(value) = sent.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    Ok(request)
}

fn declared_length(session: &Session) -> Option<usize> {
    number(session.req_header().headers.get(header::CONTENT_LENGTH))
}

fn number(value: Option<&HeaderValue>) -> Option<usize> {
    value?.to_str().ok()?.trim().parse().ok()
}

fn expects_continue(session: &Session) -> bool {
    session.req_header().version == Version::HTTP_11
        && session
            .req_header()
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Bodies of the AWS APIs served here are under 1 MB; forms and pages are smaller.
const MAX_BODY: usize = 2 * 1024 * 1024;
const CHANNEL: usize = 4;
