//! Refusals as gRPC tells them: in trailers, with a status of its own
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use super::Refusal;

/// Whether the fields are those of a request or an answer of gRPC, or of gRPC-Web.
pub(crate) fn is_kind(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| is_grpc(kind.as_bytes()))
}

fn is_grpc(kind: &[u8]) -> bool {
    let Some((name, rest)) = kind.split_at_checked(NAME.len()) else {
        return false;
    };
    name.eq_ignore_ascii_case(NAME)
        && (rest.is_empty()
            || rest
                .iter()
                .next()
                .is_some_and(|next| b"+;- \t".contains(next)))
}

/// How long the caller of a gRPC request waits for its end, as `grpc-timeout` says; nothing where that is out of form.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

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
        _ if *refusal == Refusal::UpstreamTimeout => DEADLINE_EXCEEDED,
        StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            RESOURCE_EXHAUSTED
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => UNAVAILABLE,
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

const NAME: &[u8] = b"application/grpc";
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
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
    fn kinds_of_grpc_are_known() {
        for (kind, expected) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc; charset=x", true),
            ("application/grpc-web+proto", true),
            ("application/grpc-web-text", true),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(kind.as_bytes()), expected, "{kind}");
        }
    }

    #[test]
    fn deadlines_are_read() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000S", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("1s", None),
            ("1µ", None),
        ] {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(TIMEOUT, value)]);
            assert_eq!(timeout(&headers), expected, "{text}");
        }
    }

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
        assert_eq!(status(&Refusal::UpstreamTimeout), 4);
        assert_eq!(status(&Refusal::UpstreamUnreachable), 14);
        assert_eq!(escaped("50 % é"), "50 %25 %C3%A9");
    }
}
