//! How one octet of a path is spelled. Templates and admitted paths share it: two spellings would be two routes.

use std::fmt::Write as _;

/// Writes the only spelling of an octet in a canonical path.
///
/// What RFC 3986 lets stand in a segment (`pchar`: unreserved characters, sub-delims, `:` and `@`) stands plain, all else is
/// percent-encoded with upper-case digits. `;` is encoded, though paths that have it are refused before: some servers
/// cut parameters off there. A `/` that separates segments is the caller's to write.
///
/// RFC 3986 section 6.2.2 would keep `@` and `%40` apart, but what is behind the gate decodes both to one resource.
pub fn push_octet(out: &mut String, octet: u8) {
    if is_plain(octet) {
        out.push(char::from(octet));
    } else {
        // Writing to a string does not fail.
        write!(out, "%{octet:02X}").unwrap_or_default();
    }
}

/// Whether [`push_octet`] writes an octet as it is.
pub fn is_plain(octet: u8) -> bool {
    matches!(octet,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
        | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

/// Whether decoding a canonical path twice gives something else than decoding it once: an escaped `%` before two
/// hexadecimal digits. Only the result can tell, since the digits may have been escaped too.
pub fn decodes_twice(canonical: &str) -> bool {
    let digits = |after: &str| {
        let mut bytes = after.bytes();
        let mut digit = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        digit() && digit()
    };
    // Most paths have no escapes at all.
    canonical.contains('%') && canonical.split("%25").skip(1).any(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_has_one_spelling() {
        let mut all = String::new();
        (0x20..=0x7e).for_each(|octet| push_octet(&mut all, octet));
        assert_eq!(
            all,
            "%20!%22%23$%25&'()*+,-.%2F0123456789:%3B%3C=%3E%3F@ABCDEFGHIJKLMNOPQRSTUVWXYZ%5B%5C%5D%5E_%60\
             abcdefghijklmnopqrstuvwxyz%7B%7C%7D~"
        );
    }

    #[test]
    fn escapes_of_escapes_are_seen() {
        for path in ["/%252f", "/a%25%252F", "/%25ab"] {
            assert!(decodes_twice(path), "{path}");
        }
        for path in ["/", "/%25", "/%25%2F", "/%252", "/100%25/2f", "/%C3%A9"] {
            assert!(!decodes_twice(path), "{path}");
        }
    }
}
