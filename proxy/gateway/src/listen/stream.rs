//! HTTP/2 streams whose callers do not keep a reader or a writer waiting: Pingora has timeouts for reads on HTTP/1 only, and
//! those for writes do not ask whether a write gets on.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Version};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::{
        Digest,
        http::{
            HttpTask, ServerSession,
            custom::{CustomMessageWrite, server::Session},
            v2::server::HttpSession,
        },
        l4::socket::SocketAddr,
    },
};
use tokio::time::timeout;
use tokio_stream::Stream;

use super::{
    ending::{Abandon, Ending, over},
    progress::writing,
};

/// A request's stream, as Pingora serves it but for the timeouts of its reads and writes.
struct Timed {
    stream: HttpSession,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// A session that keeps the timeouts it is given, whatever its version of HTTP.
///
/// What serves it can be abandoned.
pub(super) fn timed(session: ServerSession, abandon: &Abandon) -> ServerSession {
    match session {
        ServerSession::H2(mut stream) => {
            let extensions = stream.req_header_mut().extensions_mut();
            extensions.insert(abandon.clone());
            ServerSession::new_custom(Box::new(Timed {
                stream,
                read_timeout: None,
                write_timeout: None,
            }))
        }
        other => other,
    }
}

impl Timed {
    /// How long the caller may be silent now.
    fn patience(&self) -> Option<Duration> {
        let quiet = is_answering(self.req_header(), self.response_written());
        self.read_timeout.filter(|_| !quiet)
    }

    /// What ends it from outside.
    fn ending(&self) -> Option<Ending> {
        self.req_header().extensions.get().cloned()
    }

    /// Notes the end of the answer, if this is it.
    fn note(&mut self, end: bool) {
        if end {
            self.stream
                .req_header_mut()
                .extensions_mut()
                .insert(Answered);
        }
    }
}

/// What a read or a write comes to, unless the stream is to end before.
async fn until<T>(ending: Option<Ending>, done: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(ending) = ending else {
        return done.await;
    };
    tokio::select! {
        biased;
        () = ending.over() => over(),
        done = done => done,
    }
}

/// Whether a caller on HTTP/2 is being answered: streams both ways are quiet at times, so he may be silent and slow. Once
/// the answer is complete he may not, or a body that never ends would hold its upstream for ever.
pub(crate) fn is_answering(request: &RequestHeader, answer: Option<&ResponseHeader>) -> bool {
    let complete = request.extensions.get::<Answered>().is_some();
    request.version == Version::HTTP_2 && answer.is_some() && !complete
}

/// In a request's extensions, which Pingora shows to filters, once its answer is complete.
#[derive(Clone)]
struct Answered;

#[async_trait]
impl Session for Timed {
    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let (patience, ending) = (self.patience(), self.ending());
        let read = self.stream.read_body_bytes();
        let Some(patience) = patience else {
            return until(ending, read).await;
        };
        match timeout(patience, until(ending, read)).await {
            Ok(read) => read,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "reading the body of a request"),
        }
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.stream.is_body_done() {
            return until(self.ending(), self.stream.read_body_or_idle(true)).await;
        }
        self.read_body_bytes().await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    // All else is the stream's; what may end the answer is noted.

    fn req_header(&self) -> &RequestHeader {
        self.stream.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.stream.req_header_mut()
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.stream.drain_request_body().await
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.stream.write_response_header(head, end)?;
        self.note(end);
        Ok(())
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.stream.write_response_header_ref(head, end)?;
        self.note(end);
        Ok(())
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        let (patience, ending) = (self.write_timeout, self.ending());
        let written = writing(patience, self.stream.write_body(data, end));
        until(ending, written).await?;
        self.note(end);
        Ok(())
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.stream.write_trailers(trailers)?;
        self.note(true);
        Ok(())
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let (patience, ending) = (self.write_timeout, self.ending());
        let written = writing(patience, self.stream.response_duplex_vec(tasks));
        let end = until(ending, written).await?;
        self.note(end);
        Ok(end)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.stream.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.stream.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.stream.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.stream.response_written()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.stream.shutdown();
    }

    fn is_body_done(&mut self) -> bool {
        self.stream.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.stream.finish()?;
        self.note(true);
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        self.stream.is_body_empty()
    }

    fn body_bytes_sent(&self) -> usize {
        self.stream.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.stream.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.stream.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.stream.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.stream.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.stream.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.stream.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.stream.enable_retry_buffering();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.stream.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.stream.get_retry_buffer()
    }

    // There are no messages beside the body.

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;
