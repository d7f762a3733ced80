//! What servers behind a gate have been seen to do with a path, each done as plainly as it can be.

/// Percent-decoding by one who leaves alone what is no escape.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octet = after.get(..2).filter(|_| byte == b'%').and_then(hex);
        out.push(octet.unwrap_or(byte));
        rest = if octet.is_some() { &after[2..] } else { after };
    }
    out
}

fn hex(digits: &[u8]) -> Option<u8> {
    let all = digits.iter().all(u8::is_ascii_hexdigit);
    let text = str::from_utf8(digits).ok().filter(|_| all)?;
    u8::from_str_radix(text, 16).ok()
}

/// RFC 3986 section 5.2.4, on a path that starts with `/`.
pub(crate) fn without_dots(path: &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            b"." => {}
            b".." => drop(kept.pop()),
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push(b"");
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

/// Everything that somebody may take a path for.
pub(crate) fn readings(path: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let once = decoded(path);
    let slashes = |bytes: &[u8]| -> Vec<u8> {
        let turned = bytes
            .iter()
            .map(|byte| if *byte == b'\\' { b'/' } else { *byte });
        turned.collect()
    };
    let without_parameters = |bytes: &[u8]| -> Vec<u8> {
        let segments = bytes.split(|byte| *byte == b'/');
        let cut = segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap());
        cut.collect::<Vec<_>>().join(&b'/')
    };
    let merged = |bytes: &[u8]| -> Vec<u8> {
        let mut out = bytes.to_vec();
        out.dedup_by(|a, b| *a == b'/' && *b == b'/');
        out
    };
    let until = |end: u8| once.split(|byte| *byte == end).next().unwrap().to_vec();
    vec![
        ("decoded twice", decoded(&once)),
        ("dots first", decoded(&without_dots(path))),
        ("dots after decoding", without_dots(&once)),
        ("backslashes as slashes", slashes(&once)),
        ("backslashes and dots", without_dots(&slashes(&once))),
        ("parameters cut off", without_parameters(&once)),
        (
            "parameters and dots",
            without_dots(&without_parameters(&once)),
        ),
        ("slashes merged", merged(&once)),
        ("slashes merged before decoding", decoded(&merged(path))),
        ("cut at NUL", until(0)),
        ("cut at a line's end", until(b'\n')),
        ("cut at CR", until(b'\r')),
        ("decoded twice, dots", without_dots(&decoded(&once))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_two_readings_are_seen() {
        for path in [
            "/a/%2e%2e/b",
            "/a/../b",
            "/a/.",
            "/a%5cb",
            "/a\\..\\b",
            "/a;x=1/b",
            "/a%3bb",
            "//a",
            "/a%2f%2fb",
            "/a%00b",
            "/a%0ab",
            "/a%0db",
            "/%252fa",
            "/%252e%252e/a",
            "/a/..;/b",
        ] {
            let once = decoded(path.as_bytes());
            let readings = readings(path.as_bytes());
            assert!(
                readings.iter().any(|(_, reading)| *reading != once),
                "{path}"
            );
        }
        for path in ["/", "/a/", "/a%20b", "/100%25", "/...", "/a.b/..c"] {
            let once = decoded(path.as_bytes());
            for (how, reading) in readings(path.as_bytes()) {
                assert_eq!(reading, once, "{path}, {how}");
            }
        }
    }
}
