//! Connections to a server that wait for their next request.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::{IDLE, Server};

/// A server's connections, the one that was used last behind all others.
#[derive(Default)]
pub(crate) struct Idle(Mutex<VecDeque<Waiting>>);

struct Waiting {
    stream: Stream,
    /// Whom it leads to.
    address: SocketAddr,
    since: Instant,
    _place: Place,
}

impl Idle {
    /// A connection to this address on which the server has said nothing since, nor ended it.
    pub(crate) fn take(&self, address: SocketAddr) -> Option<Stream> {
        loop {
            let mut last = self.lock().pop_back()?;
            if last.address == address && last.is_good(Instant::now()) {
                return Some(last.stream);
            }
        }
    }

    /// Keeps a connection, if there is room.
    pub(crate) fn keep(&self, stream: Stream, address: SocketAddr, room: &Arc<Room>) {
        let Some(place) = room.take() else {
            return;
        };
        let waiting = Waiting {
            stream,
            address,
            since: Instant::now(),
            _place: place,
        };
        self.lock().push_back(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // Whoever panicked has left whole connections.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Idle").field(&self.lock().len()).finish()
    }
}

impl Waiting {
    fn is_good(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < IDLE && is_quiet(&mut self.stream)
    }
}

/// Whether nothing has come: no octet, which no request has asked for, and no end. What is known of the connection is read,
/// and the kernel not asked where nothing is.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut octet = [0];
    let mut buffer = ReadBuf::new(&mut octet);
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(stream)
        .poll_read(&mut context, &mut buffer)
        .is_pending()
}

/// Closes connections that have waited for too long or have been closed by their servers, now and then.
pub(super) async fn sweep(servers: Vec<Arc<Server>>) {
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let now = Instant::now();
        for server in &servers {
            server
                .idle
                .lock()
                .retain_mut(|waiting| waiting.is_good(now));
        }
    }
}

/// How many connections may wait, to all servers.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

impl Room {
    /// Room for so many.
    pub(crate) fn of(places: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(places)))
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        left.is_ok().then(|| Place(self.clone()))
    }
}

struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

const PACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use pingora::protocols::l4;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A connection, its other end and the address there.
    async fn connection() -> (Stream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Box::new(l4::stream::Stream::from(stream)), server, address)
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_its_address_while_there_is_room() {
        let (idle, room) = (Idle::default(), Room::of(1));
        let (first, _server, address) = connection().await;
        idle.keep(first, address, &room);
        let (second, mut server, _) = connection().await;
        idle.keep(second, address, &room);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "it is closed");
        assert!(idle.take(address).is_some() && idle.take(address).is_none());
        let (third, mut server, _) = connection().await;
        idle.keep(third, address, &room);
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], address.port() ^ 1));
        assert!(idle.take(elsewhere).is_none());
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "it is closed");
        assert!(room.take().is_some(), "and its place is free");
    }

    #[tokio::test]
    async fn what_came_unasked_ends_a_connection() {
        let (idle, room) = (Idle::default(), Room::of(9));
        let (stream, mut server, address) = connection().await;
        idle.keep(stream, address, &room);
        server.write_all(b"H").await.unwrap();
        while let Some(stream) = idle.take(address) {
            // Not here yet.
            idle.keep(stream, address, &room);
            tokio::task::yield_now().await;
        }
        assert!(server.read(&mut [0]).await.map_or(true, |read| read == 0));
    }
}
