//! What fails after a request was permitted, as refusals.

use std::io;

use pingora::{
    Error, ErrorSource,
    ErrorType::{self, ConnectTimedout, ReadTimedout, TLSHandshakeTimedout, WriteTimedout},
    proxy::{FailToProxy, Session},
};

use super::{
    Ctx,
    refuse::{self, Malformed, Refusal},
    streams,
};
use crate::{
    listen::{BadChunk, Over},
    metrics::Outcome,
};

/// Answers a request that failed, if its answer has not begun and its caller is still there.
pub(super) async fn answer(session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
    let ended = ctx.ended(error);
    let Some(refusal) = ended.clone().or_else(|| refusal(error)) else {
        ctx.outcome = Outcome::Abort;
        return closed(0);
    };
    let code = refusal.line().status.as_u16();
    ctx.refuse(refusal.clone());
    // An interim answer (1xx) goes before another one.
    let begun = session.response_written();
    if begun.is_some_and(|head| !head.status.is_informational()) || session.was_upgraded() {
        if let (Some(refusal), Some(stream)) = (ended, &ctx.held)
            && let Err(error) = streams::close(session, stream, &refusal, error).await
        {
            let kind = error.etype().as_str();
            tracing::debug!(kind, "A stream cannot be closed");
        }
        return closed(0);
    }
    // As it is told below, and the caller in the answer.
    session.set_keepalive(None);
    if let Err(error) = refuse::respond(session, &refusal, ctx).await {
        let kind = error.etype().as_str();
        tracing::debug!(kind, "Refusal cannot be sent");
    }
    closed(code)
}

fn closed(error_code: u16) -> FailToProxy {
    FailToProxy {
        error_code,
        can_reuse_downstream: false,
    }
}

/// What fails while the gate itself answers is the connection to the caller, unless it says otherwise.
pub(super) fn mark(error: &mut Error) {
    if *error.esource() == ErrorSource::Unset {
        error.as_down();
    }
}

/// `None` where the caller has gone.
fn refusal(error: &Error) -> Option<Refusal> {
    match error.esource() {
        ErrorSource::Upstream => Some(upstream(error.etype())),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::InvalidHTTPHeader => Some(Malformed::Target.into()),
            ReadTimedout => Some(Refusal::BodyTimeout),
            ErrorType::HTTPStatus(413) => Some(Refusal::BodyTooLarge),
            _ if is_bad_chunk(error) => Some(Malformed::Chunk.into()),
            _ => None,
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(Refusal::Internal),
    }
}

/// The body has become longer than it may be.
pub(super) fn too_large<T>() -> pingora::Result<T> {
    let error = Error::explain(ErrorType::HTTPStatus(413), "the body is too long");
    Err(error.into_down())
}

/// Whether the caller has broken an HTTP/2 request off.
pub(super) fn is_reset(error: &Error) -> bool {
    *error.esource() == ErrorSource::Downstream && *error.etype() == ErrorType::H2Error
}

/// Whether the request has been ended while it was under way.
pub(super) fn is_over(error: &Error) -> bool {
    is_caused_by::<Over>(error)
}

/// Whether what was read of the body is out of form.
fn is_bad_chunk(error: &Error) -> bool {
    is_caused_by::<BadChunk>(error)
}

fn is_caused_by<E: std::error::Error + 'static>(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<E>())
        .is_some()
}

fn upstream(kind: &ErrorType) -> Refusal {
    match kind {
        ConnectTimedout | TLSHandshakeTimedout | ReadTimedout | WriteTimedout => {
            Refusal::UpstreamTimeout
        }
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::SocketError
        | ErrorType::BindError
        | ErrorType::TLSHandshakeFailure
        | ErrorType::HandshakeError
        | ErrorType::InvalidCert => Refusal::UpstreamUnreachable,
        ErrorType::HTTPStatus(503) => Refusal::UpstreamOverloaded,
        _ => Refusal::UpstreamInvalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart() {
        for (kind, expected) in [
            (ErrorType::ConnectRefused, Refusal::UpstreamUnreachable),
            (ErrorType::InvalidCert, Refusal::UpstreamUnreachable),
            (ConnectTimedout, Refusal::UpstreamTimeout),
            (ReadTimedout, Refusal::UpstreamTimeout),
            (ErrorType::InvalidHTTPHeader, Refusal::UpstreamInvalid),
            (ErrorType::ConnectionClosed, Refusal::UpstreamInvalid),
        ] {
            let error = Error::new_up(kind);
            assert_eq!(refusal(&error), Some(expected));
        }
        assert_eq!(refusal(&Error::new_down(ErrorType::ConnectionClosed)), None);
        assert_eq!(
            refusal(&Error::new_down(ReadTimedout)),
            Some(Refusal::BodyTimeout)
        );
        let bad = io::Error::new(io::ErrorKind::InvalidData, BadChunk);
        let bad = Error::because(ErrorType::ReadError, "when reading body", bad).into_down();
        assert_eq!(refusal(&bad), Some(Malformed::Chunk.into()));
        let gone = io::Error::from(io::ErrorKind::InvalidData);
        let gone = Error::because(ErrorType::ReadError, "when reading body", gone).into_down();
        assert_eq!(refusal(&gone), None);
        assert_eq!(
            refusal(&too_large::<()>().unwrap_err()),
            Some(Refusal::BodyTooLarge)
        );
        assert_eq!(
            refusal(&Error::new(ErrorType::InternalError)),
            Some(Refusal::Internal)
        );
    }
}
