//! Answers of the gate's own: what a route says for itself, and where callers are sent.

mod location;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::{http::ResponseHeader, protocols::http::HttpTask, proxy::Session};

use super::{Ctx, forward, linger, request_id::REQUEST_ID};
use crate::metrics::Outcome;
pub(super) use location::location;

/// A static answer, put together once.
pub(crate) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    content: Bytes,
}

impl Answer {
    pub(crate) fn of(answer: &settings::Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers.clone(),
            content: Bytes::copy_from_slice(&answer.content),
        }
    }

    fn head(&self) -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(self.headers.len() + ADDED))?;
        for (name, value) in &self.headers {
            head.insert_header(name.clone(), value.clone())?;
        }
        // RFC 9110 section 8.6: a 204 has no length, and that of a 304 would be the one of another answer.
        if ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&self.status) {
            head.insert_header(header::CONTENT_LENGTH, self.content.len())?;
        }
        Ok(head)
    }
}

/// Gives a static answer to a request that is permitted, and to no other.
pub(super) async fn give(
    session: &mut Session,
    ctx: &mut Ctx,
    answer: &Answer,
) -> pingora::Result<()> {
    forward::permitted(ctx)?;
    allow(session, ctx, answer.head()?, answer.content.clone()).await
}

/// Sends a caller elsewhere.
pub(super) async fn redirect(
    session: &mut Session,
    ctx: &mut Ctx,
    status: StatusCode,
    location: HeaderValue,
) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(status, Some(ADDED))?;
    head.insert_header(header::LOCATION, location)?;
    head.insert_header(header::CONTENT_LENGTH, 0)?;
    allow(session, ctx, head, Bytes::new()).await
}

async fn allow(
    session: &mut Session,
    ctx: &mut Ctx,
    mut head: ResponseHeader,
    content: Bytes,
) -> pingora::Result<()> {
    head.insert_header(REQUEST_ID, ctx.request_id.value())?;
    send(session, ctx, head, content).await?;
    ctx.outcome = Outcome::Allow;
    Ok(())
}

/// Answers a request, with what its route says in each answer; of a body that the caller is still sending, little is read.
pub(super) async fn send(
    session: &mut Session,
    ctx: &Ctx,
    mut head: ResponseHeader,
    content: Bytes,
) -> pingora::Result<()> {
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    ctx.tell_limits(&mut head)?;
    ctx.mark_origin(&mut head)?;
    let sending = linger::is_sending(session);
    write(session, head, content).await?;
    if sending {
        linger::read_rest(session).await;
    }
    Ok(())
}

async fn write(session: &mut Session, head: ResponseHeader, content: Bytes) -> pingora::Result<()> {
    if content.is_empty() && session.req_header().version == Version::HTTP_2 {
        // A head that is the end, not a head with an empty body behind it: trailers alone are one for gRPC.
        let task = HttpTask::Header(Box::new(head), true);
        return session.write_response_tasks(vec![task]).await.map(|_| ());
    }
    let bodiless = content.is_empty() || session.req_header().method == Method::HEAD;
    session
        .write_response_header(Box::new(head), bodiless)
        .await?;
    if bodiless {
        session.as_downstream_mut().finish_body().await
    } else {
        session.write_response_body(Some(content), true).await
    }
}

/// Header fields beside those of the settings, without those of rate limits and CORS.
const ADDED: usize = 6;
