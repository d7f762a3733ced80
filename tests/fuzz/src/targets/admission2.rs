//! A request of HTTP/2, as its lines: method, path, authority (`-` for none), then `name: value`.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portcullis::probe::{Fields, Reading};

use super::head::{self, Sent};

pub(super) fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, path, authority) = (next(), next(), next());
    let Some((method, authority)) = Method::from_bytes(method)
        .ok()
        .zip(str::from_utf8(authority).ok())
    else {
        return;
    };
    let fields: Vec<_> = lines.filter_map(field).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in &fields {
        let name = HeaderName::from_bytes(name).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let authority = (authority != "-").then_some(authority);
    for peer in [head::STRANGER, head::BALANCER] {
        let asked = Fields {
            method: &method,
            path,
            authority,
            headers: &headers,
        };
        let reading = head::admission().http2(&asked, peer.into());
        let Reading::Admitted { head, .. } = reading else {
            continue;
        };
        let hosts: Vec<&[u8]> = headers
            .get_all("host")
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let host = match (authority, &hosts[..]) {
            (Some(one), []) => one.as_bytes(),
            (None, [one]) => one,
            (Some(one), [other]) if one.as_bytes().eq_ignore_ascii_case(other) => one.as_bytes(),
            _ => panic!("admitted without one host"),
        };
        let sent = Sent {
            method: method.as_str().as_bytes(),
            target: path_of(path, host),
            host,
            fields: &fields,
        };
        head::check(&head, &sent, peer.into());
    }
}

/// A field that HTTP/2 can carry (RFC 9113 section 8.2.1).
fn field(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let fits = HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok();
    fits.then(|| (name.to_ascii_lowercase(), value))
}

/// `:path` in absolute form is taken as HTTP/1 takes it.
fn path_of<'p>(path: &'p [u8], host: &[u8]) -> &'p [u8] {
    if path.starts_with(b"/") {
        return path;
    }
    let text = str::from_utf8(path).unwrap();
    let (_, rest) = text.split_once("://").expect("another form is refused");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    assert!(rest.as_bytes()[..end].eq_ignore_ascii_case(host));
    &rest.as_bytes()[end..]
}
