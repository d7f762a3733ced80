//! Forwarding: the server a permitted request goes to, and the request it gets, built from the permit alone.

pub(super) mod answer;
pub(super) mod direct;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Version, header};
use pingora::{Error, ErrorType, http::RequestHeader, listeners::ALPN, upstreams::peer::HttpPeer};
use settings::Template;

use super::{Ctx, admit, grpc, head::Head, identify::Caller};
use crate::{
    snapshot::{Kind, Plan},
    upstream::{Server, Upstream},
};

/// The peer for this try.
pub(super) fn peer(ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
    let (server, address) = server(ctx)?;
    Ok(server.peer(address))
}

/// The server for this try, and where it is.
fn server(ctx: &mut Ctx) -> pingora::Result<(Arc<Server>, SocketAddr)> {
    permitted(ctx)?;
    let upstream = ctx.upstream().cloned();
    while let Some(server) = upstream
        .as_ref()
        .and_then(|u| u.server(ctx.turn, ctx.tries))
    {
        ctx.server = Some(server.clone());
        match server.address() {
            Some(address) => return Ok((server.clone(), address)),
            None => ctx.tries += 1,
        }
    }
    let error = Error::explain(ErrorType::ConnectError, "no server has an address");
    Err(error.into_up())
}

/// Lets a stream be silent for as long as streams are; WebSocket is spoken on HTTP/1.
pub(super) fn await_stream(peer: &mut HttpPeer, ctx: &Ctx) {
    peer.options.read_timeout = Some(STREAM_SILENCE);
    if ctx.is_websocket() {
        peer.options.alpn = ALPN::H1;
    }
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
    *request = upstream_head(permitted(ctx)?, request)?;
    Ok(())
}

/// The head that may be forwarded.
fn permitted(ctx: &Ctx) -> pingora::Result<&Head> {
    let Some(permit) = &ctx.permit else {
        return Error::e_explain(ErrorType::InternalError, "a request without a permit");
    };
    Ok(permit.head())
}

/// What goes upstream in the place of the request that was sent.
pub(crate) fn upstream_head(head: &Head, sent: &RequestHeader) -> pingora::Result<RequestHeader> {
    let mut headers = head.headers.clone();
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        if let Some(value) = sent.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    // A server of gRPC may ask for it, as a sign that nobody between takes trailers away.
    if sent.version == Version::HTTP_2 && grpc::is_kind(&head.headers) {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if head.websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, WEBSOCKET);
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

/// The one protocol that a connection may go on in.
pub(super) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const MAX_TRIES: usize = 3;
/// Between two octets of what may be silent for long by its nature.
pub(super) const STREAM_SILENCE: Duration = Duration::from_hours(1);
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
