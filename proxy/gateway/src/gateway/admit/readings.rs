//! What servers could make of a path that a route admits though it has more readings than one.
//!
//! A route that allows an encoded slash says how its own upstream reads one. It cannot speak for other routes: were the path
//! another route's in some reading, what that route asks of callers could be passed by. And no reading may climb.

use crate::gateway::refuse::{Malformed, Refusal};

/// All readings of a canonical path, itself first: with escaped separators taken for separators, parameters of segments cut
/// off, slashes merged, escapes decoded again, and all of these together, however often. Refuses a path of which one
/// reading has a dot segment or a control character.
pub(crate) fn readings(path: &str) -> Result<Vec<String>, Refusal> {
    let mut all = vec![path.to_owned()];
    let mut at = 0;
    while let Some(reading) = all.get(at).cloned() {
        at += 1;
        if has_dots(&reading) {
            return Err(Malformed::PathAmbiguous.into());
        }
        for step in STEPS {
            let next = step(&reading)?;
            if all.contains(&next) {
                continue;
            }
            if all.len() == MOST {
                return Err(Malformed::PathAmbiguous.into());
            }
            all.push(next);
        }
    }
    Ok(all)
}

/// Whether a segment is `.` or `..`.
pub(super) fn has_dots(path: &str) -> bool {
    // Most paths have none at all.
    memchr::memchr(b'.', path.as_bytes()).is_some()
        && path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// What a server may do with a path. Each step makes it shorter or leaves it alone, so there is an end to them.
type Step = fn(&str) -> Result<String, Refusal>;

const STEPS: [Step; 6] = [
    |path| Ok(path.replace("%2F", "/")),
    |path| Ok(path.replace("%5C", "/")),
    |path| Ok(path.replace("%3B", ";")),
    |path| Ok(without_parameters(path)),
    |path| Ok(merged(path)),
    decoded_again,
];

/// Each segment up to its first `;`.
fn without_parameters(path: &str) -> String {
    let segments = path.split('/');
    let names: Vec<_> = segments
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .collect();
    names.join("/")
}

/// With one slash where there are several.
fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// With every escape of an escape taken for the octet that is left once both are decoded.
fn decoded_again(path: &str) -> Result<String, Refusal> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("%25") {
        out.push_str(before);
        let digits = after.get(..2).filter(|two| is_hexadecimal(two));
        rest = match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(0..=0x1f | 0x7f) => return Err(Malformed::PathAmbiguous.into()),
            Some(octet) => {
                route::push_octet(&mut out, octet);
                after.get(2..).unwrap_or_default()
            }
            None => {
                out.push_str("%25");
                after
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Honest paths have a handful.
const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_is_found() {
        for (path, expected) in [
            ("/a", &["/a"][..]),
            ("/a%2Fb", &["/a%2Fb", "/a/b"]),
            ("/a%5Cb", &["/a%5Cb", "/a/b"]),
            ("/a;x/b", &["/a;x/b", "/a/b"]),
            ("/a%3Bx/b", &["/a%3Bx/b", "/a;x/b", "/a/b"]),
            ("//a///b/", &["//a///b/", "/a/b/"]),
            ("/a%252Fb", &["/a%252Fb", "/a%2Fb", "/a/b"]),
            ("/a%25252fb", &["/a%25252fb", "/a%252fb", "/a%2Fb", "/a/b"]),
            ("/%2541", &["/%2541", "/A"]),
            ("/100%25", &["/100%25"]),
            ("/%25zz", &["/%25zz"]),
        ] {
            assert_eq!(readings(path).unwrap(), expected, "{path}");
        }
        let both = readings("/a%2F;x/b").unwrap();
        for reading in ["/a/;x/b", "/a%2F/b", "/a//b", "/a/b"] {
            assert!(both.iter().any(|found| found == reading), "{reading}");
        }
    }

    #[test]
    fn no_reading_climbs() {
        for path in [
            "/a%2F..%2Fb",
            "/a/..;x/b",
            "/a/..%3Bx/b",
            "/a/..%5Cb",
            "/a/%252e%252e/b",
            "/a/.%252E%252fb",
            "/%25252e%25252e/a",
            "/a/%2500",
            "/a%250d%250ab",
            "/a%2F.",
        ] {
            let refused = readings(path);
            assert_eq!(refused, Err(Malformed::PathAmbiguous.into()), "{path}");
        }
    }

    #[test]
    fn readings_are_bounded() {
        let many = format!("/{}", "%25252F;%5C%3B//".repeat(900));
        assert!(readings(&many).is_err());
    }
}
