//! The request target: origin-form or absolute-form, a path with one spelling, and a query that decodes one way.

use settings::Allow;

use super::Allowances;
use crate::gateway::refuse::{Malformed, Refusal};

/// Path and query of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'t> {
    pub(super) path: &'t str,
    pub(super) query: Option<&'t str>,
}

/// Splits a target (RFC 9112 section 3.2); in absolute-form its authority must be the `Host`.
pub(super) fn read<'t>(target: &'t [u8], host: &str) -> Result<Target<'t>, Refusal> {
    let plain = target
        .iter()
        .all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#');
    let text = str::from_utf8(target)
        .ok()
        .filter(|_| plain)
        .ok_or(Malformed::Target)?;
    let text = match absolute(text) {
        Some((authority, rest)) if authority.eq_ignore_ascii_case(host) => rest,
        Some(_) => return Err(Malformed::HostRepeated.into()),
        None => text,
    };
    let end = memchr::memchr(b'?', text.as_bytes()).unwrap_or(text.len());
    let (path, query) = text.split_at(end);
    let query = query.strip_prefix('?');
    let path = if path.is_empty() && text.len() < target.len() {
        "/"
    } else {
        path
    };
    if !path.starts_with('/') {
        return Err(Malformed::Target.into());
    }
    Ok(Target { path, query })
}

/// Authority and the rest of an `http` or `https` URL.
fn absolute(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('/') {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let ours = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    ours.then(|| rest.split_at(end))
}

/// The one spelling of a path, in which [`route::push_octet`] has each octet: what two services decode to the same octets is
/// one path to routes, policies and the upstream. What some servers would resolve, merge, split or decode again is refused,
/// or is told with the path where a route may allow it.
pub(super) fn canonical_path(path: &str) -> Result<(String, Allowances), Refusal> {
    let mut needs = Allowances::default();
    // Most paths are spelt so already.
    if path
        .bytes()
        .all(|byte| byte == b'/' || route::is_plain(byte))
    {
        check_segments(path, &mut needs)?;
        return Ok((path.to_owned(), needs));
    }
    let mut out = String::with_capacity(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let octet = if byte == b'%' {
            let (octet, after) = escape(rest)?;
            rest = after;
            octet
        } else {
            byte
        };
        decoded.push(octet);
        // Plain, these two separate something; escaped, they are data to most servers.
        if matches!(byte, b'/' | b';') {
            out.push(char::from(byte));
        } else {
            route::push_octet(&mut out, octet);
        }
        match octet {
            b'/' if byte == b'/' => {}
            b'/' => needs.insert(Allow::EncodedSlash),
            b'\\' => needs.insert(Allow::Backslash),
            b';' => needs.insert(Allow::Semicolon),
            0..=0x1f | 0x7f => return Err(Malformed::PathAmbiguous.into()),
            _ => {}
        }
    }
    if str::from_utf8(&decoded).is_err() {
        return Err(Malformed::PathEncoding.into());
    }
    check_segments(&out, &mut needs)?;
    Ok((out, needs))
}

/// The octet of an escape whose `%` has been read, and what follows.
fn escape(rest: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    let (digits, after) = rest.split_at_checked(2).ok_or(Malformed::PathEncoding)?;
    let text = str::from_utf8(digits).map_err(|_| Malformed::PathEncoding)?;
    let hexadecimal = text.bytes().all(|b| b.is_ascii_hexdigit());
    match u8::from_str_radix(text, 16) {
        Ok(value) if hexadecimal => Ok((value, after)),
        _ => Err(Malformed::PathEncoding.into()),
    }
}

/// No `.` or `..`; no empty segment but the last, since servers differ in whether they merge slashes, and no escape of an
/// escape, unless a route allows it.
fn check_segments(path: &str, needs: &mut Allowances) -> Result<(), Refusal> {
    if super::readings::has_dots(path) {
        return Err(Malformed::PathAmbiguous.into());
    }
    if path.as_bytes().windows(2).any(|pair| pair == b"//") {
        needs.insert(Allow::EmptySegment);
    }
    if route::decodes_twice(path) {
        needs.insert(Allow::DoubleEncoding);
    }
    Ok(())
}

/// A query whose escapes are whole.
pub(super) fn check_query(query: &str) -> Result<&str, Refusal> {
    let mut rest = query.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = if byte == b'%' {
            escape(after).map_err(|_| Malformed::Query)?.1
        } else {
            after
        };
    }
    Ok(query)
}
