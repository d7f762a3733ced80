//! Where a route's requests go, checked, with the headers that tell who calls.

use http::{HeaderName, header};

use super::{Names, position};
use crate::{Place, Template, check::Check, written};

pub(super) fn forward(
    raw: Option<written::Forward>,
    is_open: bool,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<(usize, Vec<(HeaderName, Template)>)> {
    let place = place.key("upstream");
    let Some(raw) = raw else {
        check.report(
            &place,
            "is left out; write `{to: NAME}`, or `serve: pools` for the engine",
        );
        return None;
    };
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for (name, text) in &raw.headers {
        let place = place.key("headers").key(name);
        match header(name, text, is_open) {
            Ok((name, _)) if headers.iter().any(|(earlier, _)| *earlier == name) => {
                check.report(&place, format!("`{name}` is there twice, in other letters"));
            }
            Ok(header) => headers.push(header),
            Err(message) => check.report(&place, message),
        }
    }
    let upstream = position(
        &raw.to,
        &names.upstreams,
        "upstreams",
        &place.key("to"),
        check,
    )?;
    Some((upstream, headers))
}

fn header(name: &str, text: &str, is_open: bool) -> Result<(HeaderName, Template), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name")?;
    if RESERVED.contains(&name) || name.as_str().starts_with("x-forwarded-") {
        return Err("is a header that the gate itself writes or takes away; choose another".into());
    }
    let template = Template::parse(text)?;
    if is_open && template.has_claims() {
        return Err("there is no token to take a claim from where `authenticate` is `none`".into());
    }
    Ok((name, template))
}

/// Framing and hop-by-hop headers (RFC 9110 section 7.6.1), the host, and what the gate writes of its own.
const RESERVED: [HeaderName; 13] = [
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
