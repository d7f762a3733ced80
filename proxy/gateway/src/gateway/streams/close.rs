//! How a stream's caller is told that it has ended: in the way of its protocol, and not as an answer that broke off.

use std::time::Duration;

use http::Version;
use pingora::{Error, ErrorType, Result, protocols::http::HttpTask, proxy::Session};
use tokio::time::timeout;

use super::{Stream, frames};
use crate::gateway::{
    grpc::has_trailers,
    refuse::{Refusal, grpc},
};

/// Ends what its caller has the beginning of.
pub(in crate::gateway) async fn close(
    session: &mut Session,
    stream: &Stream,
    refusal: &Refusal,
    error: &Error,
) -> Result<()> {
    // An answer that is cut off must not look whole.
    if is_torn(session, error) || !stream.is_stream() {
        return Ok(());
    }
    if session.was_upgraded() {
        return leave(session, stream, refusal).await;
    }
    let head = session.response_written();
    if session.req_header().version == Version::HTTP_2
        && head.is_some_and(|head| has_trailers(&head.headers))
    {
        let trailers = grpc::trailers(refusal);
        let task = HttpTask::Trailer(Some(Box::new(trailers)));
        return session.write_response_tasks(vec![task]).await.map(|_| ());
    }
    session.write_response_body(None, true).await
}

/// Whether a part of something was written on HTTP/1, behind which nothing can be said.
fn is_torn(session: &Session, error: &Error) -> bool {
    session.as_http1().is_some() && *error.etype() == ErrorType::WriteError
}

/// Closes a WebSocket, and waits for the caller to have read why (RFC 6455 section 7.1.1).
async fn leave(session: &mut Session, stream: &Stream, refusal: &Refusal) -> Result<()> {
    if !stream.takes_frame() {
        return Ok(());
    }
    let line = refusal.line();
    let status = match refusal {
        Refusal::GoingAway => GOING_AWAY,
        _ if line.status.is_server_error() => TRY_LATER,
        _ => POLICY,
    };
    let frame = frames::close(status, line.code);
    session.write_response_body(Some(frame), false).await?;
    let read =
        async { while let Ok(Some(_)) = session.as_downstream_mut().read_request_body().await {} };
    // What ended before would be reset, and the reset would take the frame from the caller.
    let _ = timeout(LINGER, read).await;
    Ok(())
}

/// Status codes of RFC 6455 section 7.4.1 and of IANA's registry.
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const TRY_LATER: u16 = 1013;
const LINGER: Duration = Duration::from_secs(1);
