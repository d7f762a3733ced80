//! Forwarding: the server a permitted request goes to, and the request it gets, built from the permit alone.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::{
    Error, ErrorType, OrErr as _,
    http::{RequestHeader, ResponseHeader},
    upstreams::peer::HttpPeer,
};
use settings::Template;

use super::{Ctx, admit, head::Head, identify::Caller};
use crate::{
    snapshot::{Kind, Plan},
    upstream::Upstream,
};

/// The peer for this try.
pub(super) fn peer(ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
    if ctx.permit.is_none() {
        return Error::e_explain(ErrorType::InternalError, "a request without a permit");
    }
    let upstream = ctx.upstream().cloned();
    while let Some(server) = upstream
        .as_ref()
        .and_then(|u| u.server(ctx.turn, ctx.tries))
    {
        let peer = server.peer();
        ctx.server = Some(server.clone());
        match peer {
            Some(peer) => return Ok(peer),
            None => ctx.tries += 1,
        }
    }
    let error = Error::explain(ErrorType::ConnectError, "no server has an address");
    Err(error.into_up())
}

/// Lets an upstream be silent for longer than its caller may be: it answers once the body is there, and where both keep
/// silent it is the caller who is late.
pub(super) fn await_body(peer: &mut HttpPeer, silence: Duration) {
    let patience = silence.saturating_add(AFTER_CALLER);
    let usual = peer.options.read_timeout;
    peer.options.read_timeout = usual.map(|usual| usual.max(patience));
}

/// After a connection that failed: on to the next server, as long as there is one.
pub(super) fn try_next(ctx: &mut Ctx, error: &mut Error) {
    ctx.tries += 1;
    let servers = ctx.upstream().map_or(0, |upstream| upstream.len());
    error.set_retry(ctx.tries < servers.min(MAX_TRIES));
}

/// Replaces Pingora's copy of the request with one that is made from the permit; only the body's framing is kept.
pub(super) fn request(request: &mut RequestHeader, ctx: &Ctx) -> pingora::Result<()> {
    let Some(permit) = &ctx.permit else {
        return Error::e_explain(ErrorType::InternalError, "a request without a permit");
    };
    *request = upstream_head(permit.head(), request)?;
    Ok(())
}

/// What goes upstream in the place of the request that was sent.
pub(crate) fn upstream_head(head: &Head, sent: &RequestHeader) -> pingora::Result<RequestHeader> {
    let mut headers = head.headers.clone();
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        if let Some(value) = sent.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    // Made of parts, names have the case that Pingora gives them: to keep what was sent would cost a second map, and field
    // by field they would be read again.
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = head.method.clone();
    parts.headers = headers;
    let mut out = RequestHeader::from(parts);
    let target = head.target();
    // Read already, if it is spelt so and says no more.
    if sent.uri.authority().is_none() && sent.raw_path() == target.as_bytes() {
        out.set_uri(sent.uri.clone());
    } else {
        out.set_raw_path(target.as_bytes())?;
    }
    out.set_version(sent.version);
    if let Some(end) = sent.send_end_stream() {
        out.set_send_end_stream(end);
    }
    Ok(out)
}

/// Takes out of an answer what its upstream says to the gate alone (RFC 9110 section 7.6.1), and makes it the gate's own
/// (RFC 9112 section 2.3). How its body ends stays as it was said, once.
pub(super) fn answer(answer: &mut ResponseHeader) -> pingora::Result<()> {
    frame(answer)?;
    answer.set_version(Version::HTTP_11);
    let nominated: Vec<HeaderName> = answer
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|octet| *octet == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name))
        .collect();
    for name in nominated.iter().chain(&NEXT_HOP) {
        // To be removed, a name is looked for twice.
        if answer.headers.contains_key(name) {
            answer.remove_header(name);
        }
    }
    Ok(())
}

/// Leaves one thing that says how an answer's body ends, and none where there is no body (RFC 9112 sections 6.1 and 6.2). An
/// answer in another transfer coding than chunks is none.
fn frame(answer: &mut ResponseHeader) -> pingora::Result<()> {
    if answer.status.is_informational() || answer.status == StatusCode::NO_CONTENT {
        answer.remove_header(&header::CONTENT_LENGTH);
        answer.remove_header(&header::TRANSFER_ENCODING);
        return Ok(());
    }
    let mut codings = answer.headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(is_chunked) || codings.next().is_some() {
        let error = Error::explain(ErrorType::InvalidHTTPHeader, "an unknown transfer coding");
        return Err(error.into_up());
    }
    // Repeated, it is the same each time, or Pingora would not have taken it (RFC 9112 section 6.3).
    let mut lengths = answer.headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next().map(HeaderValue::as_bytes);
    let first = length.and_then(|list| list.split(|octet| *octet == b',').next());
    if let Some(first) = first
        && (length != Some(first) || lengths.next().is_some())
    {
        let first = HeaderValue::from_bytes(first.trim_ascii()).or_err(
            ErrorType::InvalidHTTPHeader,
            "a length that cannot be written",
        )?;
        answer.insert_header(header::CONTENT_LENGTH, first)?;
    }
    Ok(())
}

/// Makes an answer one that its caller can read: who speaks HTTP/1.0 knows no chunks (RFC 9112 section 6.1), and reads to the
/// end of the connection.
pub(super) fn fit(answer: &mut ResponseHeader, caller: Version) {
    if caller < Version::HTTP_11 {
        answer.remove_header(&header::TRANSFER_ENCODING);
    }
}

/// Sets the route's headers from the verified token; one whose claims are absent stays absent, and so does one that would
/// read otherwise upstream than in the token.
pub(super) fn claims(headers: &[(HeaderName, Template)], caller: &Caller, head: &mut Head) {
    for (name, template) in headers {
        let value = template.render(caller.claims());
        let value = value.and_then(|text| HeaderValue::try_from(text).ok());
        if let Some(value) = value.filter(|value| !admit::has_blank_end(value.as_bytes())) {
            head.headers.insert(name.clone(), value);
        }
    }
}

impl Ctx {
    /// Where the request's route leads.
    pub(super) fn upstream(&self) -> Option<&Arc<Upstream>> {
        let plan: &Plan = self.plan.as_deref()?;
        match &plan.kind {
            Kind::Proxy(proxy) => Some(&proxy.upstream),
            Kind::Pools => None,
        }
    }
}

/// What an answer may say to the next hop without naming it. `Upgrade`, which a 426 has to have, speaks of a connection that
/// is not the caller's.
const NEXT_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::UPGRADE,
];

const MAX_TRIES: usize = 3;
/// By which an upstream's deadline is later than its caller's.
const AFTER_CALLER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_not_blamed_for_its_callers_silence() {
        for (silence, expected) in [(1, 60), (60, 61), (3600, 3601)] {
            let mut peer = HttpPeer::new("127.0.0.1:1", false, String::new());
            peer.options.read_timeout = Some(Duration::from_mins(1));
            await_body(&mut peer, Duration::from_secs(silence));
            let expected = Some(Duration::from_secs(expected));
            assert_eq!(peer.options.read_timeout, expected, "{silence}");
        }
    }
}
