//! What a route changes of requests that are permitted and of their answers, checked.

use http::{HeaderName, HeaderValue, header, uri::Authority};

use super::{Rewrite, forward::RESERVED, target};
use crate::{Place, Template, check::Check, written};

/// `path` is the route's own template, `headers` what it sets.
pub(super) fn rewrite(
    raw: &written::Forward,
    path: Option<&str>,
    headers: &[(HeaderName, Template)],
    place: &Place,
    check: &mut Check<'_>,
) -> Rewrite {
    let remove = removed(&raw.remove, &place.key("remove"), check);
    for (name, at) in raw.remove.iter().zip(check.items(&place.key("remove"))) {
        if headers
            .iter()
            .any(|(set, _)| name.eq_ignore_ascii_case(set.as_str()))
        {
            let message = format!(
                "`{name}` is set by `headers`, and what callers send of it is removed by that; take it out"
            );
            check.report(&at, message);
        }
    }
    let answer = place.key("answer");
    Rewrite {
        path: raw
            .path
            .as_deref()
            .and_then(|text| target::check(text, path, &place.key("path"), check)),
        host: raw
            .host
            .as_deref()
            .and_then(|text| host(text, &place.key("host"), check)),
        remove,
        answer_headers: set(&raw.answer, &answer.key("headers"), check),
        answer_remove: removed(&raw.answer.remove, &answer.key("remove"), check),
    }
}

fn host(text: &str, place: &Place, check: &mut Check<'_>) -> Option<HeaderValue> {
    let authority: Option<Authority> = text.parse().ok().filter(|_| !text.contains('@'));
    let value = authority.and_then(|authority| {
        let host = ::route::host(authority.host()).ok()?;
        let is_bare = authority.as_str() == authority.host();
        let port = authority.port_u16().filter(|port| *port > 0);
        let value = match port {
            Some(port) => format!("{host}:{port}"),
            None if is_bare => host,
            None => return None,
        };
        HeaderValue::try_from(value).ok()
    });
    if value.is_none() {
        check.report(place, "is not a host, with or without a port");
    }
    value
}

fn removed(names: &[String], list: &Place, check: &mut Check<'_>) -> Vec<HeaderName> {
    let mut removed = Vec::new();
    for (name, place) in names.iter().zip(check.items(list)) {
        match field(name) {
            Ok(name) if removed.contains(&name) => {
                check.report(&place, format!("`{name}` is there twice"));
            }
            Ok(name) => removed.push(name),
            Err(message) => check.report(&place, message),
        }
    }
    removed
}

fn set(
    raw: &written::Answer,
    place: &Place,
    check: &mut Check<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, text) in &raw.headers {
        let place = place.key(name);
        let is_text = text.bytes().all(|it| it == b' ' || it.is_ascii_graphic());
        let value = HeaderValue::from_str(text.trim()).ok().filter(|_| is_text);
        match (field(name), value) {
            (Ok(name), _) if headers.iter().any(|(earlier, _)| *earlier == name) => {
                check.report(&place, format!("`{name}` is there twice, in other letters"));
            }
            (Ok(name), Some(value)) => headers.push((name, value)),
            (Ok(_), None) => check.report(&place, "only visible ASCII characters are allowed"),
            (Err(message), _) => check.report(&place, message),
        }
    }
    headers
}

/// A header field whose meaning is the gate's own affair cannot be changed.
fn field(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name")?;
    let is_ours = RESERVED.contains(&name)
        || name.as_str().starts_with("x-forwarded-")
        || [header::CONTENT_ENCODING, header::CONTENT_TYPE, header::DATE].contains(&name)
        || name == "x-request-id";
    if is_ours {
        return Err(
            "is a header that the gate itself writes, or that says what the body is; leave it",
        );
    }
    Ok(name)
}
