//! Connections to a server that wait for their next request.

use std::{
    collections::VecDeque,
    fmt,
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

use super::{IDLE, list::Endpoints};

/// The connections to one address of a server.
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
    since: Instant,
    place: Place,
}

impl Idle {
    /// A connection on which the server has said nothing since, nor ended it.
    pub(crate) fn take(&self) -> Option<Stream> {
        loop {
            let mut last = self.lock().pop()?;
            if last.is_good(Instant::now()) {
                return Some(last.stream);
            }
        }
    }

    /// Keeps a connection, in the place of the server's oldest where there is no room.
    pub(crate) fn keep(&self, stream: Stream, room: &Arc<Room>) {
        let oldest = || self.lock().pop_oldest();
        let place = room.take().or_else(|| oldest().map(|oldest| oldest.place));
        let Some(place) = place else {
            return;
        };
        let waiting = Waiting {
            stream,
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
    /// The connection that was used last.
    fn pop(&mut self) -> Option<Waiting> {
        let popped = self.waiting.pop_back();
        self.spare = self.spare.min(self.waiting.len());
        popped
    }

    fn pop_oldest(&mut self) -> Option<Waiting> {
        let popped = self.waiting.pop_front();
        self.spare = self.spare.min(self.waiting.len());
        popped
    }

    /// Takes out what is not to wait any longer: what is not good or, where others find no room, was not needed of late.
    fn sweep(&mut self, now: Instant) -> Vec<Waiting> {
        let is_full = |waiting: &Waiting| waiting.place.0.is_full();
        let spare = if self.waiting.front().is_some_and(is_full) {
            self.spare
        } else {
            0
        };
        let mut swept: Vec<_> = self.waiting.drain(..spare).collect();
        for mut waiting in std::mem::take(&mut self.waiting) {
            if waiting.is_good(now) {
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
pub(super) async fn sweep(endpoints: Arc<Endpoints>) {
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let now = Instant::now();
        for endpoint in endpoints.load().iter() {
            let swept = endpoint.idle.lock().sweep(now);
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

    /// A connection, and its other end.
    async fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Box::new(l4::stream::Stream::from(stream)), server)
    }

    /// Keeps so many connections, and gives their other ends.
    async fn keep(count: usize, idle: &Idle, room: &Arc<Room>) -> Vec<TcpStream> {
        let mut servers = Vec::new();
        for _ in 0..count {
            let (stream, server) = connection().await;
            idle.keep(stream, room);
            servers.push(server);
        }
        servers
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let (idle, room) = (Idle::default(), Room::of(1));
        let (first, mut server) = connection().await;
        idle.keep(first, &room);
        let (second, _server) = connection().await;
        idle.keep(second, &room);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "it is closed");
        assert!(idle.take().is_some() && idle.take().is_none());
        assert!(room.take().is_some(), "and its place is free");
    }

    #[tokio::test]
    async fn what_was_used_last_is_used_next() {
        let (idle, room) = (Idle::default(), Room::of(9));
        let mut servers = keep(2, &idle, &room).await;
        let mut last = idle.take().unwrap();
        last.write_all(b"x").await.unwrap();
        last.flush().await.unwrap();
        assert_eq!(servers[1].read(&mut [0]).await.unwrap(), 1);
        assert!(idle.take().is_some() && idle.take().is_none());
    }

    #[tokio::test]
    async fn what_was_not_needed_makes_room_for_others() {
        let (idle, room) = (Idle::default(), Room::of(3));
        let _servers = keep(3, &idle, &room).await;
        let sweep = || idle.lock().sweep(Instant::now()).len();
        assert_eq!(sweep(), 0, "they are new");
        let needed = idle.take().unwrap();
        idle.keep(needed, &room);
        assert_eq!(sweep(), 2);
        assert_eq!(sweep(), 0, "there is room");
        assert!(idle.take().is_some());
    }

    /// A sweep between the oldest's end and its successor's place.
    #[tokio::test]
    async fn a_sweep_finds_what_is_there() {
        let (idle, room) = (Idle::default(), Room::of(2));
        let _servers = keep(2, &idle, &room).await;
        assert!(idle.lock().sweep(Instant::now()).is_empty());
        let oldest = idle.lock().pop_oldest().unwrap();
        assert_eq!(idle.lock().sweep(Instant::now()).len(), 1);
        drop(oldest);
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
            idle.keep(stream, &room);
        }
        let taken = tokio::spawn(async move { idle.take().is_some() });
        assert!(!taken.await.unwrap());
    }

    #[tokio::test]
    async fn what_came_unasked_ends_a_connection() {
        let (idle, room) = (Idle::default(), Room::of(9));
        let (stream, mut server) = connection().await;
        idle.keep(stream, &room);
        server.write_all(b"H").await.unwrap();
        while let Some(stream) = idle.take() {
            // Not here yet.
            idle.keep(stream, &room);
            tokio::task::yield_now().await;
        }
        assert!(server.read(&mut [0]).await.map_or(true, |read| read == 0));
    }
}
