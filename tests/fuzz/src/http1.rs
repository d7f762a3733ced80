//! A reader of HTTP/1.1 requests that takes what RFC 9112 says and nothing else, to hold the gate's against.

/// A request, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r [u8],
    pub(crate) target: &'r [u8],
    /// Names in lower case.
    pub(crate) fields: Vec<(Vec<u8>, &'r [u8])>,
    /// `None` where the bytes end before the body does.
    pub(crate) body: Result<Option<Vec<u8>>, &'static str>,
}

/// The first request of a connection's bytes, or why its head is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Request<'_>, &'static str> {
    // Section 2.2: a server should ignore at least one empty line before the request line.
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    let (method, target, minor) = request_line(line(&mut rest)?)?;
    let mut fields = Vec::new();
    loop {
        match line(&mut rest)? {
            [] => break,
            text => fields.push(field(text)?),
        }
    }
    let body = match framing(&fields, minor)? {
        Framing::Length(length) => Ok(rest.get(..length).map(<[u8]>::to_vec)),
        Framing::Chunked => chunks(rest),
    };
    Ok(Request {
        method,
        target,
        fields,
        body,
    })
}

impl Request<'_> {
    /// The values of a field, in their order.
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        let fields = self.fields.iter();
        fields
            .filter(|(found, _)| found == name.as_bytes())
            .map(|(_, value)| *value)
            .collect()
    }
}

/// Section 2.2: up to CRLF, with no other CR or LF in it.
fn line<'r>(rest: &mut &'r [u8]) -> Result<&'r [u8], &'static str> {
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let (line, after) = rest.split_at(end.ok_or("a line without an end")?);
    *rest = after
        .strip_prefix(b"\r\n")
        .ok_or("a line that does not end with CRLF")?;
    Ok(line)
}

/// Section 3: three parts, with one space between them.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], u8), &'static str> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err("a request line that has not three parts");
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err("a method that is no token");
    }
    // RFC 3986 has fewer characters; those that all parsers take as they are have one reading.
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') {
        return Err("a target with what no target has");
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, 1)),
        b"HTTP/1.0" => Ok((method, target, 0)),
        _ => Err("another version"),
    }
}

/// Section 5.
fn field(line: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or("a field without a colon")?);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err("a field name that is no token");
    }
    let value = trimmed(&value[1..]);
    if value
        .iter()
        .any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
    {
        return Err("a control byte in a field");
    }
    Ok((name.to_ascii_lowercase(), value))
}

/// RFC 9110 section 5.6.3: blanks and tabs, and no other white space.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

enum Framing {
    Length(usize),
    Chunked,
}

/// Section 6.3, where everything that has two readings is none.
fn framing(fields: &[(Vec<u8>, &[u8])], minor: u8) -> Result<Framing, &'static str> {
    let values = |name: &[u8]| -> Vec<&[u8]> {
        let fields = fields.iter().filter(|(found, _)| found == name);
        fields.map(|(_, value)| *value).collect()
    };
    match (
        &values(b"content-length")[..],
        &values(b"transfer-encoding")[..],
    ) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) => number(length).map(Framing::Length),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && minor == 1 => {
            Ok(Framing::Chunked)
        }
        _ => Err("a body with two lengths or an unknown coding"),
    }
}

fn number(text: &[u8]) -> Result<usize, &'static str> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(text).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok())
        .ok_or("a length that is no number")
}

/// The body alone.
fn chunks(rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    chunked(rest).map(|read| read.map(|(body, _)| body))
}

/// Section 7.1: sizes in hexadecimal, extensions left out, trailers read and dropped. The body and its length with all that;
/// `None` where the end is missing.
pub(crate) fn chunked(octets: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let (mut body, mut rest) = (Vec::new(), octets);
    loop {
        if !rest.contains(&b'\n') {
            return Ok(None);
        }
        let size = chunk_size(line(&mut rest)?)?;
        if size == 0 {
            let after = trailers(rest)?;
            return Ok(after.map(|after| (body, octets.len() - after.len())));
        }
        let Some((data, after)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        if after.len() < 2 {
            return Ok(None);
        }
        rest = after
            .strip_prefix(b"\r\n")
            .ok_or("a chunk that does not end where it says")?;
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, &'static str> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (size, extension) = line.split_at(digits.count());
    if size.is_empty() || !matches!(extension.trim_ascii_start().first(), None | Some(b';')) {
        return Err("a chunk size that is no number");
    }
    if !extension.is_empty() && extension.trim_ascii().is_empty() {
        return Err("a chunk size with space behind it");
    }
    let text = str::from_utf8(size).map_err(|_| "a chunk size that is no number")?;
    usize::from_str_radix(text, 16).map_err(|_| "a chunk size beyond any")
}

/// What is after them, where they end.
fn trailers(mut rest: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    loop {
        if !rest.contains(&b'\n') {
            return Ok(None);
        }
        match line(&mut rest)? {
            [] => return Ok(Some(rest)),
            text => field(text)?,
        };
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_by_the_letter() {
        let read_whole = |text: &'static str| read(text.as_bytes()).unwrap();
        let request = read_whole(
            "\r\nPOST /a?b HTTP/1.1\r\nHost:  a \r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nT: u\r\n\r\n",
        );
        assert_eq!(
            (request.method, request.target),
            (&b"POST"[..], &b"/a?b"[..])
        );
        assert_eq!(request.values("host"), [b"a"]);
        assert_eq!(request.body, Ok(Some(b"ab".to_vec())));
        let cut = read_whole("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab");
        assert_eq!(cut.body, Ok(None));
    }

    #[test]
    fn what_is_not_by_the_letter_is_refused() {
        for text in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET /a#b HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
            "GET / HTTP/1.1\r\nA: \x0cb\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        ] {
            let body = read(text.as_bytes()).and_then(|request| request.body);
            assert!(body.is_err(), "{text:?}");
        }
    }
}
