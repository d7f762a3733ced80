//! Where a message and its parts end: the bytes of an HTTP/1 head as they came, and the fields that say how long a body is.
//!
//! The parser below us takes more than RFC 9112 asks of it, and what two parsers end at different places is two requests to
//! one of them.

use http::{HeaderMap, HeaderValue, header};
use memchr::memchr_iter;

use crate::{
    gateway::refuse::{Malformed, Refusal},
    listen::is_token,
};

/// Refuses a head of HTTP/1 whose lines do not all end with CRLF, or whose target has a fragment, which the parser drops.
pub(super) fn check_lines(head: &[u8]) -> Result<(), Refusal> {
    let mut carriage_returns = memchr_iter(b'\r', head);
    for end in memchr_iter(b'\n', head) {
        // RFC 9112 section 2.2: a CR belongs to a line's end, and the line feed alone is only tolerated.
        if carriage_returns.next().map(|at| at + 1) != Some(end) {
            return Err(Malformed::LineEnd.into());
        }
    }
    if carriage_returns.next().is_some() {
        return Err(Malformed::LineEnd.into());
    }
    let line = request_line(head);
    match line.and_then(|line| memchr::memchr(b'#', line)) {
        Some(_) => Err(Malformed::Target.into()),
        None => Ok(()),
    }
}

/// The first line that is not empty: the parser skips empty ones, as RFC 9112 section 2.2 has it.
fn request_line(head: &[u8]) -> Option<&[u8]> {
    let mut rest = head;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    memchr::memchr(b'\r', rest).and_then(|end| rest.get(..end))
}

/// Refuses bodies of which two lengths are said, or a length that has two readings.
pub(super) fn check_body(sent: &HeaderMap, head: Option<&[u8]>) -> Result<(), Refusal> {
    check_length(sent)?;
    let mut codings = sent.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    // RFC 9112 section 6.1; the parser has taken away a `Content-Length` beside it.
    let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if is_chunked && codings.next().is_none() && !head.is_some_and(says_length) {
        Ok(())
    } else {
        Err(Malformed::TransferEncoding.into())
    }
}

/// The one expectation there is (RFC 9110 section 10.1.1).
pub(super) fn check_expectation(sent: &HeaderMap) -> Result<(), Refusal> {
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if sent.get_all(header::EXPECT).iter().all(known) {
        Ok(())
    } else {
        Err(Malformed::Expectation.into())
    }
}

/// Refuses `Connection` that is out of form (RFC 9110 section 7.6.1), takes away what others are told of the request by, or
/// names more than anybody means.
pub(super) fn check_connection(sent: &HeaderMap) -> Result<(), Refusal> {
    let values = sent.get_all(header::CONNECTION).iter();
    let options = values.flat_map(|value| value.as_bytes().split(|octet| *octet == b','));
    let options = options.map(<[u8]>::trim_ascii);
    let mut room = MOST_OPTIONS;
    for option in options.filter(|option| !option.is_empty()) {
        if room == 0 || !is_option(option) {
            return Err(Malformed::Connection.into());
        }
        room -= 1;
    }
    Ok(())
}

fn is_option(text: &[u8]) -> bool {
    let mut kept = KEPT.iter();
    text.iter().copied().all(is_token)
        && !kept.any(|name| name.as_bytes().eq_ignore_ascii_case(text))
}

/// The body's length is one plain number or absent, so that nobody reads another (RFC 9112 section 6.3, rule 5).
fn check_length(sent: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = sent.get_all(header::CONTENT_LENGTH).iter();
    let is_plain = |value: &HeaderValue| {
        let number: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
        // Other spellings of a number (`+3`, `003`) are not what it is written as.
        number.is_some_and(|number| number.to_string().as_bytes() == value.as_bytes())
    };
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(value), None) if is_plain(value) => Ok(()),
        _ => Err(Malformed::LengthInvalid.into()),
    }
}

fn says_length(head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    head.split(|octet| *octet == b'\n').any(|line| {
        line.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
            && line.get(NAME.len()) == Some(&b':')
    })
}

/// Names that no connection has for itself.
const KEPT: [&str; 4] = [
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];
/// Options that one request may name; honest ones name two or three, and each is looked for in every field.
const MOST_OPTIONS: usize = 9;

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn lines_end_with_both_octets() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /?a=b HTTP/1.1\r\nHost: a#b\r\nX: #\r\n\r\n",
        ] {
            assert_eq!(check_lines(head.as_bytes()), Ok(()), "{head:?}");
        }
        for head in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r",
        ] {
            let refusal = check_lines(head.as_bytes());
            assert_eq!(refusal, Err(Malformed::LineEnd.into()), "{head:?}");
        }
        for head in [
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\nGET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let refusal = check_lines(head.as_bytes());
            assert_eq!(refusal, Err(Malformed::Target.into()), "{head:?}");
        }
    }

    #[test]
    fn a_connections_options_are_few_and_its_own() {
        let check = |values: &[&str]| {
            let pair = |value: &&str| (header::CONNECTION, HeaderValue::from_str(value).unwrap());
            check_connection(&values.iter().map(pair).collect())
        };
        let nine = ["x-a"; MOST_OPTIONS].join(", ");
        for fine in [
            &["close"][..],
            &["Keep-Alive, Upgrade,, HTTP2-Settings ,"],
            &["close", "x-a"],
            &[&nine],
            &[],
        ] {
            assert_eq!(check(fine), Ok(()), "{fine:?}");
        }
        for bad in [
            &["Host"][..],
            &["close, x-forwarded-FOR"],
            &["X-Forwarded-Host"],
            &["x-forwarded-proto"],
            &[":authority"],
            &["\"x-a\""],
            &["x a"],
            &["close; x"],
            &["x\u{e9}"],
            &[&nine, "close"],
        ] {
            assert_eq!(check(bad), Err(Malformed::Connection.into()), "{bad:?}");
        }
    }

    #[test]
    fn a_body_has_one_framing() {
        let plain = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let both = "POST / HTTP/1.1\r\ncontent-LENGTH: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let alike = "POST / HTTP/1.1\r\nX-Content-Length: 1\r\nContent-Lengths: 1\r\n\r\n";
        let check = |codings: &[&'static str], head: &str| {
            let pair = |coding: &&'static str| {
                let name: HeaderName = header::TRANSFER_ENCODING;
                (name, HeaderValue::from_static(coding))
            };
            let sent: HeaderMap = codings.iter().map(pair).collect();
            check_body(&sent, Some(head.as_bytes()))
        };
        for (codings, head) in [
            (&["chunked"][..], plain),
            (&["Chunked"], plain),
            (&["chunked"], alike),
            (&[], both),
        ] {
            assert_eq!(check(codings, head), Ok(()), "{codings:?} {head:?}");
        }
        for (codings, head) in [
            (&["chunked"][..], both),
            (&["gzip"], plain),
            (&["identity"], plain),
            (&["gzip, chunked"], plain),
            (&["chunked, chunked"], plain),
            (&["chunked", "chunked"], plain),
            (&["xchunked"], plain),
            (&[""], plain),
        ] {
            let refusal = Err(Malformed::TransferEncoding.into());
            assert_eq!(check(codings, head), refusal, "{codings:?} {head:?}");
        }
    }
}
