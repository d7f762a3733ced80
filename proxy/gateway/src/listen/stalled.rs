//! Connections whose callers do not keep a writer waiting: Pingora's timeout for writes on HTTP/1 leaves heads and flushes
//! out, and counts what a slow caller takes as little as what no caller takes. Where only an answer is to come, head and body
//! of it are one write, if they are there together.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Sleep, sleep},
};

use super::{ending::Over, gather::Gathered, line::Line};

/// A connection that fails once it has taken nothing for a while, and whose octets are followed as they are read.
#[derive(Debug)]
pub(super) struct Stalling {
    stream: Stream,
    line: Line,
    /// INVARIANT: filled only where the reader is asked again before anything is waited for ([`Self::gathers`]), which sends
    /// it: so nothing is held for longer than its writer is busy.
    gathered: Gathered,
    /// The caller sends no more, so the reader is not asked again.
    ended: bool,
    patience: Duration,
    /// Runs while the connection takes nothing.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    /// Puts the limit around a connection.
    pub(super) fn new(stream: Stream, line: Line, patience: Duration) -> Self {
        Self {
            stream,
            line,
            gathered: Gathered::default(),
            ended: false,
            patience,
            deadline: None,
        }
    }

    /// Whether the reader is asked again before anything is waited for: both ways of forwarding watch for the caller's end while
    /// only his answer is to come (`direct::next`, and Pingora's proxy). With a body still to be read it may wait for the
    /// upstream first.
    fn gathers(&self) -> bool {
        !self.ended && self.line.awaits_answer()
    }

    /// Sends what is gathered.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.gathered.taken();
        let sent = self.gathered.poll_send(&mut self.stream, context);
        self.note(before);
        sent
    }

    /// The connection got on, if it has taken more than before.
    fn note(&mut self, before: u64) {
        if self.gathered.taken() != before {
            self.deadline = None;
        }
    }

    /// Sends what is gathered, and then does this.
    fn then<T>(
        &mut self,
        context: &mut Context<'_>,
        next: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        ready!(self.poll_send(context))?;
        next(Pin::new(&mut self.stream), context)
    }

    fn limit<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        self.late(context)
    }

    /// Fails once the connection has taken nothing for too long, or what it is written for is over.
    fn late<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.line.poll_over(context).is_ready() {
            return Poll::Ready(Err(io::Error::other(Over)));
        }
        let patience = self.patience;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        deadline
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Gathers; what is only kept is no progress.
    fn poll_keep(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let before = self.gathered.taken();
        let kept = self.gathered.poll_write(&mut self.stream, context, data);
        self.note(before);
        if kept.is_pending() {
            return self.late(context);
        }
        kept
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathers() {
            return self.poll_keep(context, data);
        }
        let written = self.then(context, |stream, context| stream.poll_write(context, data));
        self.limit(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.then(context, AsyncWrite::poll_flush);
        self.limit(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.then(context, AsyncWrite::poll_shutdown);
        self.limit(context, ended)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.gathers() {
            let first = data.iter().find(|part| !part.is_empty());
            return self.poll_keep(context, first.map_or(&[], |part| part));
        }
        let written = self.then(context, |stream, context| {
            stream.poll_write_vectored(context, data)
        });
        self.limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.gathered.is_empty() {
            let sent = self.poll_send(context);
            if let Poll::Ready(Err(error)) = self.limit(context, sent) {
                return Poll::Ready(Err(error));
            }
        }
        if self.line.poll_over(context).is_ready() {
            return Poll::Ready(Err(io::Error::other(Over)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        self.ended |= read.is_empty();
        Poll::Ready(self.line.read(read))
    }
}

// All else is the connection's.

#[async_trait]
impl Shutdown for Stalling {
    async fn shutdown(&mut self) {
        // Ends what is written first, and TLS, both of which wait for the caller.
        let patience = self.patience;
        let end = async {
            let _ = self.flush().await;
            Shutdown::shutdown(&mut *self.stream).await;
        };
        let _ = tokio::time::timeout(patience, end).await;
    }
}

#[async_trait]
impl Peek for Stalling {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(buffer).await
    }
}

impl UniqueID for Stalling {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Stalling {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Stalling {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Stalling {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Stalling {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::{
        io::{AsyncReadExt as _, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;
    use crate::listen::line::Body;

    const PATIENCE: Duration = Duration::from_millis(300);

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_waited_for_and_none_is_not() {
        let (near, mut far) = duplex(1);
        let mut near = Stalling::new(Box::new(near), Line::for_tests(), PATIENCE);
        let reading = async {
            let mut ticks = tokio::time::interval(PATIENCE / 3);
            for _ in 0..6 {
                ticks.tick().await;
                far.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(near.write_all(&[0; 7]), reading);
        written.unwrap();
        let more = timeout(PATIENCE * 20, near.write_all(&[0])).await;
        let error = more.expect("an end").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// A connection in which only an answer is to come, on a socket with this much room.
    fn answering(room: usize) -> (Stalling, DuplexStream) {
        let (near, far) = duplex(room);
        let line = Line::for_tests();
        line.body(Body::None).unwrap();
        (Stalling::new(Box::new(near), line, PATIENCE), far)
    }

    /// What its other end has been sent.
    fn arrived(far: &mut DuplexStream) -> String {
        let mut text = [0; 64];
        let mut read = ReadBuf::new(&mut text);
        let context = &mut Context::from_waker(Waker::noop());
        let _ = Pin::new(far).poll_read(context, &mut read);
        String::from_utf8(read.filled().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_at_once_is_sent_at_once_when_the_reader_is_asked() {
        let (mut near, mut far) = answering(64);
        for part in ["head", " and ", "body"] {
            near.write_all(part.as_bytes()).await.unwrap();
            assert_eq!(arrived(&mut far), "");
        }
        let read = timeout(PATIENCE, near.read_u8()).await;
        read.expect_err("the caller is silent");
        assert_eq!(arrived(&mut far), "head and body");
        near.write_all(b"more").await.unwrap();
        near.flush().await.unwrap();
        assert_eq!(arrived(&mut far), "more");
        near.write_all(b"end").await.unwrap();
        Shutdown::shutdown(&mut near).await;
        assert_eq!(arrived(&mut far), "end");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_where_the_reader_may_not_be_asked() {
        let (mut near, mut far) = answering(64);
        tokio::io::AsyncWriteExt::shutdown(&mut far).await.unwrap();
        near.write_all(b"kept").await.unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(arrived(&mut far), "kept");
        near.write_all(b"after the caller's end").await.unwrap();
        assert_eq!(arrived(&mut far), "after the caller's end");

        for body in [Body::Sized, Body::Chunked] {
            let (near, mut far) = duplex(64);
            let line = Line::for_tests();
            line.read(b"POST / HTTP/1.1\r\n\r\n").unwrap();
            line.body(body).unwrap();
            let mut near = Stalling::new(Box::new(near), line, PATIENCE);
            near.write_all(b"early").await.unwrap();
            assert_eq!(arrived(&mut far), "early");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_answers_are_waited_for_as_long_as_they_get_on() {
        const PART: usize = 20 * 1024;
        let (mut near, mut far) = answering(1024);
        let reading = async {
            let mut ticks = tokio::time::interval(PATIENCE / 3);
            let mut part = [0; 1024];
            for _ in 0..5 * PART / part.len() {
                ticks.tick().await;
                far.read_exact(&mut part).await.unwrap();
            }
        };
        let writing = async {
            // Kept, larger than what is kept, and both.
            for size in [PART, 100, PART - 100, PART / 2, PART / 2, PART, PART] {
                near.write_all(&vec![0; size]).await.unwrap();
            }
            near.flush().await.unwrap();
        };
        tokio::join!(writing, reading);
        let stalled = timeout(PATIENCE * 20, near.write_all(&vec![0; 2 * PART])).await;
        let error = stalled.expect("an end").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_is_not_waited_for_with_what_is_gathered_either() {
        let (mut near, mut far) = answering(1);
        near.write_all(&[0; 7]).await.unwrap();
        let reading = async {
            let mut ticks = tokio::time::interval(PATIENCE / 3);
            for _ in 0..6 {
                ticks.tick().await;
                far.read_u8().await.unwrap();
            }
        };
        let mut byte = [0];
        tokio::select! {
            read = near.read(&mut byte) => panic!("{read:?} while it takes something"),
            () = reading => {}
        }
        near.write_all(&[0]).await.unwrap();
        let read = timeout(PATIENCE * 20, near.read(&mut byte)).await;
        let error = read.expect("an end").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
