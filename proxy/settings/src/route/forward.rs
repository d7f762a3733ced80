//! Where a route's requests go, checked, with the headers that tell who calls, and for what.

use http::{HeaderName, header};

use super::{EVERY_PATH, Names, Rewrite, position, rewrite};
use crate::{
    Place, Template,
    check::Check,
    written::{self, Timeouts},
};

/// Where requests go, and how.
pub(super) struct Forward {
    /// Which of the upstreams.
    pub(super) upstream: usize,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) rewrite: Rewrite,
    pub(super) timeouts: Timeouts,
    pub(super) websocket: bool,
}

/// `path` is the route's own template.
pub(super) fn forward(
    raw: Option<written::Forward>,
    path: Option<&str>,
    is_open: bool,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Forward> {
    let place = place.key("upstream");
    let Some(raw) = raw else {
        check.report(
            &place,
            "is left out; write `{to: NAME}`, or beside `match` one of `redirect`, `respond` and, for the engine, \
             `serve: pools`",
        );
        return None;
    };
    let headers = headers(&raw, path, is_open, names, &place, check);
    let rewrite = rewrite::rewrite(&raw, path, &headers, &place, check);
    check_timeouts(&raw.timeouts, &place.key("timeouts"), check);
    let to = place.key("to");
    let upstream = position(&raw.to, &names.upstreams, "upstreams", &to, check)?;
    if raw.websocket && names.protocols.get(upstream) == Some(&Some(written::Protocol::Http2)) {
        check.report(
            &place.key("websocket"),
            "is spoken on HTTP/1, and the upstream's `protocol` is `http2`",
        );
    }
    Some(Forward {
        upstream,
        headers,
        rewrite,
        timeouts: raw.timeouts,
        websocket: raw.websocket,
    })
}

fn headers(
    raw: &written::Forward,
    path: Option<&str>,
    is_open: bool,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Vec<(HeaderName, Template)> {
    // What is wrong with the match is told there.
    let path = ::route::Template::parse(path.unwrap_or(EVERY_PATH)).ok();
    let parameters: Option<Vec<&str>> = path.as_ref().map(|path| path.names().collect());
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for (name, text) in &raw.headers {
        let place = place.key("headers").key(name);
        match header(
            name,
            text,
            parameters.as_deref(),
            is_open,
            names.certificates,
        ) {
            Ok((name, _)) if headers.iter().any(|(earlier, _)| *earlier == name) => {
                check.report(&place, format!("`{name}` is there twice, in other letters"));
            }
            Ok(header) => headers.push(header),
            Err(message) => check.report(&place, message),
        }
    }
    headers
}

fn check_timeouts(timeouts: &Timeouts, place: &Place, check: &mut Check<'_>) {
    let total = timeouts.total_seconds.unwrap_or(1);
    for (key, value, most) in [
        ("connect_seconds", timeouts.connect_seconds, 600),
        ("silence_seconds", timeouts.silence_seconds, 86_400),
        ("total_seconds", total, 86_400),
    ] {
        if !(1..=most).contains(&value) {
            check.report(&place.key(key), format!("must be between 1 and {most}"));
        }
    }
}

fn header(
    name: &str,
    text: &str,
    parameters: Option<&[&str]>,
    is_open: bool,
    certificates: bool,
) -> Result<(HeaderName, Template), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name")?;
    if is_reserved(&name) {
        return Err("is a header that the gate itself writes or takes away; choose another".into());
    }
    let template = Template::parse(text)?;
    if is_open && template.has_claims() {
        return Err("there is no token to take a claim from where `authenticate` is `none`".into());
    }
    if let Some(name) = parameters.and_then(|known| template.unknown_parameter(known)) {
        return Err(format!("`{{path.{name}}}` is no parameter of `match.path`"));
    }
    if template.has_certificate() && !certificates {
        return Err(
            "no listener asks for certificates; write `client_certificates` beside its `certificates`"
                .into(),
        );
    }
    Ok((name, template))
}

/// Whether no settings can say it, as the gate does or nobody may.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(name) || name.as_str().starts_with("x-forwarded-")
}

/// Framing and hop-by-hop headers (RFC 9110 section 7.6.1), the host, and what the gate writes of its own.
pub(super) const RESERVED: [HeaderName; 13] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("keep-alive"),
];
