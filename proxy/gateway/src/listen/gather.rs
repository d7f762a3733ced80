//! Small writes, gathered until the writer turns to something else: head and body of an answer are two writes to Pingora, and
//! each one that reaches the socket is a system call and wakes the caller. Pingora's own buffers can be had from its own
//! listeners only, and hold an answer with a length back until its end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

/// What was written and not sent yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// How many of them are sent.
    sent: usize,
    /// Octets that the stream took in all.
    taken: u64,
}

impl Gathered {
    /// Whether all that was written is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Keeps what is small, and sends what is not, after what was kept.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.bytes.len() + data.len() > ROOM {
            ready!(self.poll_send(stream, context))?;
            if data.len() > ROOM {
                let taken = ready!(Pin::new(stream).poll_write(context, data))?;
                self.take(taken);
                return Poll::Ready(Ok(taken));
            }
        }
        self.bytes.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    /// How many octets the stream took in all: more than before where it got on.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    fn take(&mut self, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.taken = self.taken.wrapping_add(octets);
    }

    /// Sends what was kept; nothing is flushed below.
    pub(super) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut *stream).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
            self.take(sent);
        }
        self.sent = 0;
        self.bytes.clear();
        self.bytes.shrink_to(SPARE);
        Poll::Ready(Ok(()))
    }
}

/// Octets that are kept: a head and a body that costs less to copy than to send by itself.
const ROOM: usize = 16 * 1024;
/// What a quiet connection keeps for its next answer.
const SPARE: usize = 2048;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn small_writes_wait_for_large_ones_and_for_the_end() {
        let (mut near, mut far) = duplex(16 * ROOM);
        let mut gathered = Gathered::default();
        let large = vec![b'l'; ROOM + 1];
        for data in [&b"one"[..], b"two", &large, b"end"] {
            let written = poll_fn(|cx| gathered.poll_write(&mut near, cx, data)).await;
            assert_eq!(written.unwrap(), data.len());
        }
        let mut read = vec![0; 6 + large.len()];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [b"onetwo", &*large].concat());
        assert!(!gathered.is_empty());
        poll_fn(|cx| gathered.poll_send(&mut near, cx))
            .await
            .unwrap();
        assert!(gathered.is_empty());
        drop(near);
        let mut rest = String::new();
        far.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "end");
    }

    #[tokio::test]
    async fn what_is_sent_in_parts_is_sent_once() {
        let (mut near, mut far) = duplex(2);
        let mut gathered = Gathered::default();
        let send = async {
            for data in ["abc", "defg"] {
                let write = poll_fn(|cx| gathered.poll_write(&mut near, cx, data.as_bytes()));
                assert_eq!(write.await.unwrap(), data.len());
                poll_fn(|cx| gathered.poll_send(&mut near, cx))
                    .await
                    .unwrap();
            }
            drop(near);
        };
        let mut read = String::new();
        let ((), end) = tokio::join!(send, far.read_to_string(&mut read));
        assert_eq!((end.unwrap(), &*read), (7, "abcdefg"));
    }

    #[tokio::test]
    async fn nothing_is_kept_for_a_stream_that_is_closed() {
        let (mut near, far) = duplex(16);
        drop(far);
        let mut gathered = Gathered::default();
        let write = poll_fn(|cx| gathered.poll_write(&mut near, cx, b"one"));
        write.await.unwrap();
        let sent = poll_fn(|cx| gathered.poll_send(&mut near, cx)).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
