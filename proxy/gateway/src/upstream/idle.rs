//! Connections to a server that wait for their next request.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use pingora::protocols::Stream;
use tokio::{io::AsyncReadExt as _, task::unconstrained};

use super::{IDLE, Server};

/// A server's connections.
#[derive(Default)]
pub(crate) struct Idle(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// The one that was used last is behind all others.
    waiting: VecDeque<Waiting>,
    /// How many were not needed since the last sweep; never more than there are.
    spare: usize,
}

struct Waiting {
    stream: Stream,
    /// Whom it leads to.
    address: SocketAddr,
    since: Instant,
    place: Place,
}

impl Idle {
    /// A connection to this address on which the server has said nothing since, nor ended it.
    pub(crate) fn take(&self, address: SocketAddr) -> Option<Stream> {
        loop {
            let mut last = self.lock().pop(address)?;
            if last.is_good(Instant::now()) {
                return Some(last.stream);
            }
        }
    }

    /// Keeps a connection, in the place of the server's oldest where there is no room.
    pub(crate) fn keep(&self, stream: Stream, address: SocketAddr, room: &Arc<Room>) {
        let oldest = || self.lock().pop_oldest();
        let place = room.take().or_else(|| oldest().map(|oldest| oldest.place));
        let Some(place) = place else {
            return;
        };
        let waiting = Waiting {
            stream,
            address,
            since: Instant::now(),
            place,
        };
        self.lock().waiting.push_back(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Whoever panicked has left whole connections.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.lock().waiting.len();
        out.debug_tuple("Idle").field(&waiting).finish()
    }
}

impl Queue {
    /// The connection to this address that was used last.
    fn pop(&mut self, address: SocketAddr) -> Option<Waiting> {
        let is_there = |waiting: &Waiting| waiting.address == address;
        let last = self.waiting.iter().rposition(is_there)?;
        let popped = self.waiting.remove(last);
        self.spare = self.spare.min(self.waiting.len());
        popped
    }

    fn pop_oldest(&mut self) -> Option<Waiting> {
        let popped = self.waiting.pop_front();
        self.spare = self.spare.min(self.waiting.len());
        popped
    }

    /// Takes out what is not to wait any longer: what is not good, leads to where the server is no more or, where others find
    /// no room, was not needed of late.
    fn sweep(&mut self, now: Instant, addresses: &[SocketAddr]) -> Vec<Waiting> {
        let is_full = |waiting: &Waiting| waiting.place.0.is_full();
        let spare = if self.waiting.front().is_some_and(is_full) {
            self.spare
        } else {
            0
        };
        let mut swept: Vec<_> = self.waiting.drain(..spare).collect();
        for mut waiting in std::mem::take(&mut self.waiting) {
            if addresses.contains(&waiting.address) && waiting.is_good(now) {
                self.waiting.push_back(waiting);
            } else {
                swept.push(waiting);
            }
        }
        self.spare = self.waiting.len();
        swept
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
    // A task that has done much is told that nothing is there, otherwise.
    let read = pin!(unconstrained(stream.read(&mut octet)));
    let mut context = Context::from_waker(Waker::noop());
    read.poll(&mut context).is_pending()
}

/// Closes connections that are not to wait any longer, now and then.
pub(super) async fn sweep(servers: Vec<Arc<Server>>) {
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let now = Instant::now();
        for server in &servers {
            let swept = server.idle.lock().sweep(now, &server.addresses.load());
            drop(swept);
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

    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
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

    /// Keeps so many connections, and gives their addresses and other ends.
    async fn keep(
        count: usize,
        idle: &Idle,
        room: &Arc<Room>,
    ) -> (Vec<SocketAddr>, Vec<TcpStream>) {
        let (mut addresses, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (stream, server, address) = connection().await;
            idle.keep(stream, address, room);
            addresses.push(address);
            servers.push(server);
        }
        (addresses, servers)
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let (idle, room) = (Idle::default(), Room::of(1));
        let (first, mut server, address) = connection().await;
        idle.keep(first, address, &room);
        let (second, _server, other) = connection().await;
        idle.keep(second, other, &room);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "it is closed");
        assert!(idle.take(address).is_none() && idle.take(other).is_some());
        assert!(room.take().is_some(), "and its place is free");
    }

    #[tokio::test]
    async fn connections_wait_for_their_own_address() {
        let (idle, room) = (Idle::default(), Room::of(9));
        let (addresses, _servers) = keep(3, &idle, &room).await;
        assert!(idle.take(addresses[0]).is_some() && idle.take(addresses[0]).is_none());
        let swept = idle.lock().sweep(Instant::now(), &addresses[..2]);
        assert!(swept.len() == 1 && swept[0].address == addresses[2]);
        assert!(idle.take(addresses[1]).is_some() && idle.take(addresses[2]).is_none());
    }

    #[tokio::test]
    async fn what_was_not_needed_makes_room_for_others() {
        let (idle, room) = (Idle::default(), Room::of(3));
        let (addresses, _servers) = keep(3, &idle, &room).await;
        let sweep = || idle.lock().sweep(Instant::now(), &addresses).len();
        assert_eq!(sweep(), 0, "they are new");
        let needed = idle.take(addresses[2]).unwrap();
        idle.keep(needed, addresses[2], &room);
        assert_eq!(sweep(), 2);
        assert_eq!(sweep(), 0, "there is room");
        assert!(idle.take(addresses[2]).is_some());
    }

    /// A sweep between the oldest's end and its successor's place.
    #[tokio::test]
    async fn a_sweep_finds_what_is_there() {
        let (idle, room) = (Idle::default(), Room::of(2));
        let (addresses, _servers) = keep(2, &idle, &room).await;
        assert!(idle.lock().sweep(Instant::now(), &addresses).is_empty());
        let oldest = idle.lock().pop_oldest().unwrap();
        assert_eq!(idle.lock().sweep(Instant::now(), &addresses).len(), 1);
        assert_eq!(oldest.address, addresses[0]);
    }

    /// More than a task may do at once.
    #[tokio::test(flavor = "multi_thread")]
    async fn many_that_have_ended_are_found_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (idle, room) = (Idle::default(), Room::of(300));
        for _ in 0..300 {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            server.shutdown().await.unwrap();
            stream.readable().await.unwrap();
            let stream = Box::new(l4::stream::Stream::from(stream));
            idle.keep(stream, address, &room);
        }
        let taken = tokio::spawn(async move { idle.take(address).is_some() });
        assert!(!taken.await.unwrap());
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
