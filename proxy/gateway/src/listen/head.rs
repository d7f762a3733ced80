//! A head's octets as they came, before the parser below us has made anything of them.

use memchr::{memchr, memmem};

/// Whether the request line has three parts with one space between them, and nothing in its target that needs an escape to
/// be there (RFC 9112 section 3).
///
/// The parser writes what is in such a target as escapes and reads it anew: `/a b` as `/a%20b`, which another reader takes
/// for `/a` in a version that nobody knows.
pub(super) fn is_line_in_form(octets: &[u8]) -> bool {
    let head = after_blank_lines(octets);
    // A carriage return by itself is in the line, since the parser would take it for a part of the target.
    let line = memchr(b'\n', head).and_then(|end| head.get(..end)?.strip_suffix(b"\r"));
    let Some(line) = line else {
        return false;
    };
    let mut parts = line.split(|octet| *octet == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let is_plain = |part: Option<&[u8]>| {
        part.is_some_and(|part| {
            // What is beyond ASCII stays as it is, and is refused as a target.
            !part.is_empty()
                && part
                    .iter()
                    .all(|octet| matches!(octet, 0x21..=0x7e | 0x80..))
        })
    };
    is_plain(method) && is_plain(target) && is_plain(version) && parts.next().is_none()
}

/// What came after a head whose lines end with CRLF.
pub(super) fn after_head(octets: &[u8]) -> Option<&[u8]> {
    let head = after_blank_lines(octets);
    let end = memmem::find(head, END)?;
    head.get(end + END.len()..)
}

/// Empty lines may be before a head (RFC 9112 section 2.2).
fn after_blank_lines(octets: &[u8]) -> &[u8] {
    let blank = octets
        .iter()
        .take_while(|octet| matches!(octet, b'\r' | b'\n'));
    octets.get(blank.count()..).unwrap_or_default()
}

const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_have_three_parts() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n",
            "GET http://a/b?c=\"{<|>}\" HTTP/1.0\r\nHost: a b\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\n",
        ] {
            assert!(is_line_in_form(line.as_bytes()), "{line:?}");
        }
        for line in [
            "",
            "\r\n",
            "GET / HTTP/1.1",
            "GET /\r\n",
            "GET  HTTP/1.1\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET / HTTP/1.1 \r\n",
            " GET / HTTP/1.1\r\n",
            "GET /a b HTTP/1.1\r\n",
            "GET /a HTTP/1.1 HTTP/1.1\r\n",
            "GET /?a=b c HTTP/1.1\r\n",
            "GET /?a=\u{1} HTTP/1.1\r\n",
            "GET /a\t HTTP/1.1\r\n",
            "GET /a\0 HTTP/1.1\r\n",
            "GET /a\u{7f} HTTP/1.1\r\n",
            "GET /a\n HTTP/1.1\r\n",
            "GET /a b\rc HTTP/1.1\r\n",
            "GET /a HTTP/1.1\n",
        ] {
            assert!(!is_line_in_form(line.as_bytes()), "{line:?}");
        }
    }
}
