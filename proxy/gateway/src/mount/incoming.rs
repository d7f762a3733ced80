//! A request's body on its way from the gate to the engine.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

/// A piece of a body.
pub(super) enum Piece {
    Data(Bytes),
    /// The body is whole.
    End,
}

/// Where the gate puts a body in.
pub(super) type Feed = mpsc::Sender<Piece>;

/// Where the service takes it out.
///
/// INVARIANT: it ends well only after [`Piece::End`], so a body that was cut off is never taken for a whole one.
pub(super) struct Incoming {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

/// Both ends, with room for `pieces`.
pub(super) fn channel(pieces: usize) -> (Feed, Incoming) {
    let (feed, pieces) = mpsc::channel(pieces);
    let incoming = Incoming {
        pieces,
        ended: false,
    };
    (feed, incoming)
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(io::ErrorKind::UnexpectedEof.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Collected};

    use super::*;

    #[tokio::test]
    async fn only_a_whole_body_ends_well() {
        for (whole, expected) in [(true, Some("hello")), (false, None)] {
            let (feed, incoming) = channel(2);
            let data = Piece::Data(Bytes::from_static(b"hello"));
            assert!(feed.send(data).await.is_ok());
            if whole {
                assert!(feed.send(Piece::End).await.is_ok());
            }
            drop(feed);
            let read = incoming.collect().await.ok().map(Collected::to_bytes);
            assert_eq!(read, expected.map(Bytes::from));
        }
    }
}
