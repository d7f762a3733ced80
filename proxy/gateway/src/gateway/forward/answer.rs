//! Answers: what an upstream said, as its caller gets it.

use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::{Error, ErrorType, OrErr as _, http::ResponseHeader};

use super::{WEBSOCKET, rewrite};
use crate::{
    gateway::{Ctx, admit, request_id::REQUEST_ID},
    metrics::Outcome,
};

/// Takes out of an answer what its upstream says to the gate alone (RFC 9110 section 7.6.1), and makes it the gate's own
/// (RFC 9112 section 2.3). How its body ends stays as it was said, once.
pub(in crate::gateway) fn receive(
    answer: &mut ResponseHeader,
    ctx: &mut Ctx,
) -> pingora::Result<()> {
    let is_socket = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    if is_socket && !is_accepted(answer, ctx) {
        let error = Error::explain(ErrorType::InvalidHTTPHeader, "another protocol unasked");
        return Err(error.into_up());
    }
    frame(answer)?;
    if is_socket || !answer.status.is_informational() {
        ctx.answered(answer.status);
    } else {
        ctx.count_interim()?;
    }
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
    if let Some(rewrite) = ctx.rewrite() {
        rewrite::answer(rewrite, answer)?;
    }
    if is_socket {
        answer.insert_header(header::CONNECTION, "upgrade")?;
        answer.insert_header(header::UPGRADE, WEBSOCKET)?;
    }
    Ok(())
}

/// Whether an answer that changes to another protocol changes to the one that was asked for.
fn is_accepted(answer: &ResponseHeader, ctx: &Ctx) -> bool {
    ctx.is_websocket()
        && answer.version == Version::HTTP_11
        && admit::names_websocket(&answer.headers)
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
fn fit(answer: &mut ResponseHeader, caller: Version) {
    if caller < Version::HTTP_11 {
        answer.remove_header(&header::TRANSFER_ENCODING);
    }
}

impl Ctx {
    /// Counts an interim answer: a server that gives no other would be listened to for ever.
    fn count_interim(&mut self) -> pingora::Result<()> {
        self.interim = self.interim.saturating_add(1);
        if self.interim > MOST_INTERIM {
            let error = Error::explain(ErrorType::InvalidHTTPHeader, "interim answers without end");
            return Err(error.into_up());
        }
        Ok(())
    }

    /// Adds to an answer what its caller, who speaks this version, gets of the gate.
    pub(in crate::gateway) fn complete(
        &mut self,
        answer: &mut ResponseHeader,
        caller: Version,
    ) -> pingora::Result<()> {
        let is_socket = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        if answer.status.is_informational() && !is_socket {
            answer.remove_header(REQUEST_ID);
            return self.mark_origin(answer);
        }
        fit(answer, caller);
        self.trace_answer(answer.status);
        self.outcome = Outcome::Allow;
        self.is_bodiless =
            [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status);
        // Asked anew after an answer within which the caller may be slow.
        self.flow = None;
        let plan = self.plan.as_ref();
        self.stream = plan.and_then(|plan| plan.metrics.streams.open(answer));
        self.tell_limits(answer)?;
        self.mark_origin(answer)?;
        answer.insert_header(REQUEST_ID, self.request_id.value())
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
/// Interim answers to one request.
const MOST_INTERIM: u8 = 32;
