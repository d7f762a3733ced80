//! Forwarding: the server a permitted request goes to, and the request it gets, built from the permit alone.

pub(super) mod answer;
pub(super) mod direct;
mod rewrite;
pub(crate) mod timeouts;

use std::{sync::Arc, time::Duration};

use decision::Certificate;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::{
    Error, ErrorSource, ErrorType, RetryType, http::RequestHeader, listeners::ALPN, proxy::Session,
    upstreams::peer::HttpPeer,
};
use settings::{HashKey, HeaderSource, RequestField, Rewrite, Template};
use token::Object;

use super::{Ctx, Pace, admit, grpc, head::Head, identify::Caller};
use crate::{
    snapshot::{Kind, Plan, Proxy},
    upstream::{Endpoint, SecondLook, Turn, Unavailable, Upstream},
};
use timeouts::Timeouts;

/// The peer for this try.
pub(super) async fn peer(ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
    let endpoint = choose(ctx).await?;
    Ok(ctx.timeouts().peer(&endpoint))
}

/// The server for this try, in which the request has a place until it is over.
async fn choose(ctx: &mut Ctx) -> pingora::Result<Arc<Endpoint>> {
    permitted(ctx)?;
    // Before it waits for another one.
    ctx.connection = None;
    let chosen = match ctx.upstream() {
        Some(upstream) => upstream.choose(ctx.turn, &ctx.tried).await,
        None => Err(Unavailable::Unreachable),
    };
    match chosen {
        Ok(in_use) => {
            let endpoint = in_use.endpoint().clone();
            (ctx.endpoint, ctx.connection) = (Some(endpoint.clone()), Some(in_use));
            Ok(endpoint)
        }
        Err(why) => {
            let (kind, said) = match why {
                Unavailable::Unreachable => (ErrorType::ConnectError, "no server can be reached"),
                Unavailable::Overloaded => {
                    (ErrorType::HTTPStatus(503), "no server takes more requests")
                }
            };
            Err(Error::explain(kind, said).into_up())
        }
    }
}

/// What chooses the request's server: its key, where the upstream has requests of one key go to one server.
pub(super) fn turn(upstream: &Upstream, head: &Head, caller: Option<&Caller>) -> Turn {
    let Some(key) = upstream.hash_key() else {
        return upstream.turn();
    };
    let of = |value: &HeaderValue| Turn::of(value.as_bytes());
    let keyed = match key {
        HashKey::ClientIp => Some(Turn::of(head.client)),
        HashKey::Path => Some(Turn::of(&head.path)),
        HashKey::Principal => caller.and_then(Caller::principal).map(Turn::of),
        HashKey::Header(name) => head.headers.get(name).map(of),
        HashKey::Cookie(name) => cookie(&head.headers, name).map(Turn::of),
    };
    keyed.unwrap_or_else(|| upstream.turn())
}

/// The value of a cookie (RFC 6265 section 5.4).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let cookies = headers.get(header::COOKIE)?.as_bytes();
    cookies.split(|octet| *octet == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

/// Lets a stream be silent for as long as streams are; WebSocket is spoken on HTTP/1.
pub(super) fn await_stream(peer: &mut HttpPeer, ctx: &Ctx) {
    let usual = peer.options.read_timeout;
    peer.options.read_timeout = usual.map(|usual| usual.max(STREAM_SILENCE));
    if ctx.is_websocket() {
        peer.options.alpn = ALPN::H1;
        // Connections of others are not such, nor are these for others.
        let within = ctx.timeouts().connect;
        peer.options.custom_l4 = Some(Arc::new(SecondLook { within }));
        peer.options.idle_timeout = Some(Duration::ZERO);
        peer.group_key ^= WEBSOCKETS;
    }
}

/// Lets an upstream be silent for as long as that, or where its silence is watched from the body's pieces on, for as long as streams
/// are.
pub(super) fn await_body(peer: &mut HttpPeer, silence: Duration, is_watched: bool) {
    let patience = if is_watched { STREAM_SILENCE } else { silence };
    let usual = peer.options.read_timeout;
    peer.options.read_timeout = usual.map(|usual| usual.max(patience));
}

/// After a connection that failed: on to the next server, as long as there is one.
pub(super) fn try_next(ctx: &mut Ctx, error: &mut Error) {
    ctx.failed();
    ctx.tried.extend(ctx.endpoint.clone());
    let tries = ctx.upstream().map_or(0, |upstream| upstream.tries());
    error.set_retry(ctx.tried.len() < tries);
}

/// After a connection that was there: again, where the server cannot have acted on the request, or may twice.
pub(super) fn try_again(session: &mut Session, ctx: &Ctx, error: &mut Error, reused: bool) {
    // What RFC 9113 section 8.7 says was not processed.
    let is_unprocessed =
        *error.etype() == ErrorType::H2Error && matches!(error.retry, RetryType::Decided(true));
    let is_repeatable = is_unprocessed || session.req_header().method.is_idempotent();
    if !is_repeatable || session.as_ref().retry_buffer_truncated() {
        error.set_retry(false);
    } else {
        error.retry.decide_reuse(reused);
    }
    // Who sends slowly, or takes little of his answer, has the server lose patience.
    if *error.esource() == ErrorSource::Upstream
        && !error.retry()
        && session.is_body_done()
        && !has_begun(session)
    {
        ctx.failed();
    }
}

/// Whether the caller has got the beginning of an answer.
fn has_begun(session: &Session) -> bool {
    let head = session.response_written();
    head.is_some_and(|head| !head.status.is_informational())
}

/// Replaces Pingora's copy of the request with one that is made from the permit; only the body's framing is kept.
pub(super) fn request(request: &mut RequestHeader, ctx: &Ctx) -> pingora::Result<()> {
    *request = upstream_head(permitted(ctx)?, request, ctx.rewrite())?;
    ctx.carry_trace(request)
}

/// Asks a caller on HTTP/1.1 for the body that he holds back (RFC 9110 section 10.1.1) where the upstream speaks HTTP/2, of
/// whose interim answers Pingora hands none on.
pub(super) async fn ask_for_body(
    session: &mut Session,
    request: &RequestHeader,
) -> pingora::Result<()> {
    let waits = session.req_header().version == Version::HTTP_11
        && request.version == Version::HTTP_2
        && request.headers.contains_key(header::EXPECT);
    if !waits {
        return Ok(());
    }
    let asked = session.as_downstream_mut().write_continue_response().await;
    asked.map_err(Error::into_down)
}

/// The head that may be forwarded.
pub(super) fn permitted(ctx: &Ctx) -> pingora::Result<&Head> {
    let Some(permit) = &ctx.permit else {
        return Error::e_explain(ErrorType::InternalError, "a request without a permit");
    };
    Ok(permit.head())
}

/// What goes upstream in the place of the request that was sent.
pub(crate) fn upstream_head(
    head: &Head,
    sent: &RequestHeader,
    rewrite: Option<&Rewrite>,
) -> pingora::Result<RequestHeader> {
    let mut headers = head.headers.clone();
    if let Some(rewrite) = rewrite {
        rewrite::fields(rewrite, &mut headers);
    }
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
    let target = match rewrite.and_then(|it| it.path.as_ref()) {
        Some(path) => rewrite::target(path, head)?,
        None => head.target(),
    };
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

/// Sets the route's headers, of the verified token, the caller's certificate and the request itself; one of what is absent
/// stays absent, and so does one that would read otherwise upstream than there.
pub(super) fn tell(headers: &[(HeaderName, Template)], caller: Option<&Caller>, head: &mut Head) {
    for (name, template) in headers {
        let value = template.render(&Known { caller, head });
        let value = value.and_then(|text| HeaderValue::try_from(text).ok());
        if let Some(value) = value.filter(|value| !admit::has_blank_end(value.as_bytes())) {
            head.headers.insert(name.clone(), value);
        }
    }
}

/// What the headers of a request can tell.
struct Known<'a> {
    caller: Option<&'a Caller>,
    head: &'a Head,
}

impl HeaderSource for Known<'_> {
    fn claims(&self) -> Option<Object<'_>> {
        self.caller.map(Caller::claims)
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.head.certificate()
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.head.parameter(name)
    }

    fn request(&self, field: RequestField) -> &str {
        match field {
            RequestField::Host => self.head.authority.host(),
            RequestField::Method => self.head.method.as_str(),
            RequestField::Path => &self.head.path,
            RequestField::Scheme => self.head.scheme.as_str(),
        }
    }
}

impl Ctx {
    /// Where the request's route leads.
    pub(super) fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.proxy().map(|proxy| &proxy.upstream)
    }

    /// What its route changes, if anything.
    pub(super) fn rewrite(&self) -> Option<&Rewrite> {
        self.proxy().and_then(|proxy| proxy.rewrite.as_deref())
    }

    /// How long the upstream may be silent while the body is to come: for longer than the caller, as it answers once that is
    /// there, and where both keep silent it is the caller who is late.
    pub(super) fn body_silence(&self, pace: &Pace) -> Duration {
        body_silence(self.timeouts().silence, pace.silence)
    }

    /// Until when its answer must be whole, from its beginning.
    pub(super) fn total(&self) -> Option<Duration> {
        self.timeouts().total
    }

    /// How long it may take.
    fn timeouts(&self) -> Timeouts {
        self.proxy().map(|proxy| proxy.timeouts).unwrap_or_default()
    }

    fn proxy(&self) -> Option<&Proxy> {
        let plan: &Plan = self.plan.as_deref()?;
        match &plan.kind {
            Kind::Proxy(proxy) => Some(proxy),
            Kind::Pools | Kind::Respond(_) | Kind::Redirect(_) => None,
        }
    }

    /// The request failed at the server that was asked.
    fn failed(&self) {
        if let (Some(upstream), Some(endpoint)) = (self.upstream(), &self.endpoint) {
            upstream.failed(endpoint);
        }
    }

    /// The server that was asked has answered.
    fn answered(&self, status: StatusCode) {
        if let (Some(upstream), Some(endpoint)) = (self.upstream(), &self.endpoint) {
            upstream.answered(endpoint, status);
        }
    }
}

/// The one protocol that a connection may go on in.
pub(super) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
fn body_silence(of_upstream: Duration, of_caller: Duration) -> Duration {
    of_upstream.max(of_caller.saturating_add(AFTER_CALLER))
}

/// Tells their connections from those that wait for any request.
const WEBSOCKETS: u64 = 1 << 63;
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
            let found = body_silence(Duration::from_mins(1), Duration::from_secs(silence));
            assert_eq!(found, Duration::from_secs(expected), "{silence}");
        }
    }
}
