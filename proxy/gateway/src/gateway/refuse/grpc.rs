//! Refusals as gRPC tells them: in trailers, with a status of its own
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use super::Refusal;

/// An answer that is nothing but trailers, of the request's own kind.
pub(super) fn answer(refusal: &Refusal, asked: &HeaderMap) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(StatusCode::OK, Some(8))?;
    if let Some(kind) = asked.get(header::CONTENT_TYPE) {
        head.insert_header(header::CONTENT_TYPE, kind.clone())?;
    }
    for (name, value) in fields(refusal, status(refusal)) {
        if let Some(name) = name {
            head.insert_header(name, value)?;
        }
    }
    Ok(head)
}

/// What says how a call ended that had begun.
pub(crate) fn trailers(refusal: &Refusal) -> HeaderMap {
    match status(refusal) {
        // It was there.
        UNIMPLEMENTED => fields(refusal, PERMISSION_DENIED),
        status => fields(refusal, status),
    }
}

fn fields(refusal: &Refusal, status: u16) -> HeaderMap {
    let line = refusal.line();
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, HeaderValue::from(status));
    let message = format!("{}: {}", line.code, line.detail);
    if let Ok(message) = HeaderValue::try_from(escaped(&message)) {
        trailers.insert(MESSAGE, message);
    }
    trailers
}

/// The status of a refusal, as <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md> has it; finer
/// where that knows only "unknown".
fn status(refusal: &Refusal) -> u16 {
    match refusal.line().status {
        StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
        StatusCode::UNAUTHORIZED | StatusCode::MISDIRECTED_REQUEST => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            RESOURCE_EXHAUSTED
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// As `grpc-message` is written: what is not printable ASCII, and `%`, escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if matches!(octet, b' '..=b'~') && octet != b'%' {
            out.push(char::from(octet));
        } else {
            // Writing to a string does not fail.
            write!(out, "%{octet:02X}").unwrap_or_default();
        }
    }
    out
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

const UNKNOWN: u16 = 2;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_status_and_a_message() {
        let expired = Refusal::Token {
            why: token::Refusal::Expired,
            scopes: Vec::new(),
        };
        let denied = Refusal::Denied { code: "no_permit" };
        for (refusal, status, message) in [
            (expired, "16", "token_expired: the token has expired"),
            (
                denied,
                "7",
                "no_permit: the policies do not permit this request",
            ),
        ] {
            let trailers = trailers(&refusal);
            assert_eq!(trailers[STATUS], status);
            assert_eq!(trailers[MESSAGE], message);
        }
        assert_eq!(status(&Refusal::RouteNotFound), 12);
        assert_eq!(trailers(&Refusal::RouteNotFound)[STATUS], "7");
        assert_eq!(status(&Refusal::CertificateOutdated), 16);
        assert_eq!(status(&Refusal::UpstreamTimeout), 4);
        assert_eq!(status(&Refusal::DeadlineExceeded), 4);
        assert_eq!(status(&Refusal::UpstreamUnreachable), 14);
        assert_eq!(escaped("50 % é"), "50 %25 %C3%A9");
    }
}
