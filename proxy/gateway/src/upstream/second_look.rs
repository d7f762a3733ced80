//! Connections for `WebSocket`, on which an answer is found at the second look for it.
//!
//! Pingora tells itself that a request without a body is over while it looks for the answer already. Where the server's `101` is
//! found first, it takes that for the WebSocket's end. Once a look has found nothing, it has heard.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, Result,
    connectors::l4::Connect,
    protocols::l4::{
        ext,
        socket::SocketAddr,
        stream::Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Makes such connections.
#[derive(Debug)]
pub(crate) struct SecondLook {
    /// To be connected to.
    pub(crate) within: Duration,
}

#[async_trait]
impl Connect for SecondLook {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Ok(socket) = timeout(self.within, socket(address)).await else {
            return Error::e_explain(ErrorType::ConnectTimedout, "connecting for a WebSocket");
        };
        Ok(VirtualSocketStream::new(socket?).into())
    }
}

async fn socket(address: &SocketAddr) -> Result<Box<dyn VirtualSocket>> {
    match address {
        SocketAddr::Inet(address) => {
            let stream = ext::connect(address, None).await?;
            Ok(Box::new(Socket::new(stream)))
        }
        SocketAddr::Unix(address) => {
            let Some(path) = address.as_pathname() else {
                return Error::e_explain(ErrorType::ConnectError, "a socket without a path");
            };
            Ok(Box::new(Socket::new(ext::connect_uds(path).await?)))
        }
    }
}

#[derive(Debug)]
struct Socket<S> {
    stream: S,
    /// And nobody has looked for an answer since.
    has_written: bool,
}

impl<S> Socket<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            has_written: false,
        }
    }
}

impl VirtualSocket for Socket<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(true),
            VirtualSockOpt::KeepAlive(keepalive) => {
                ext::set_tcp_keepalive(&self.stream, &keepalive).map_err(io::Error::other)
            }
            _ => Ok(()),
        }
    }
}

impl VirtualSocket for Socket<UnixStream> {
    /// It has none of those.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if mem::take(&mut self.has_written) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Waker};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn an_answer_is_found_at_the_second_look() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (mut server, _) = listener.accept().await.unwrap();
        let mut socket = Socket::new(stream.unwrap());
        socket.write_all(b"question").await.unwrap();
        server.write_all(b"answer").await.unwrap();
        socket.stream.readable().await.unwrap();
        let mut answer = [0; 6];
        let mut context = Context::from_waker(Waker::noop());
        let first = pin!(socket.read(&mut answer)).poll(&mut context);
        assert!(first.is_pending());
        let second = pin!(socket.read(&mut answer)).poll(&mut context);
        assert!(matches!(second, Poll::Ready(Ok(6))) && &answer == b"answer");
    }
}
