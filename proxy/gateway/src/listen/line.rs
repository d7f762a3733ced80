//! One connection as its requests share it. It travels with the connection, because each HTTP/2 stream is served in a task of
//! its own.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use pingora::{
    http::ResponseHeader,
    protocols::{Digest, GetProxyDigest, raw_connect::ProxyDigest},
};
use prometheus::IntCounter;
use settings::Redirect;
use tokio::{sync::watch, time};

use super::{
    chunks::{BadChunk, Chunks},
    ending::{Abandon, Ending},
    head::{after_head, is_line_in_form},
    tls::Shown,
};

/// A connection.
#[derive(Debug, Clone)]
pub(crate) struct Line(Arc<Shared>);

/// What a connection may do in all.
#[derive(Debug, Clone)]
pub(crate) struct LineLimits {
    /// Requests; after the last one it ends.
    pub(crate) requests: u32,
    /// HTTP/2 streams open at once.
    pub(crate) streams: u32,
    /// HTTP/2 requests that its caller may break off within a minute.
    pub(crate) resets: u32,
    /// Counts connections that broke off more.
    pub(crate) reset_too_often: IntCounter,
}

#[derive(Debug)]
struct Shared {
    limits: Arc<LineLimits>,
    /// Of its listener.
    redirect: Option<Arc<Redirect>>,
    requested: AtomicBool,
    requests: AtomicU32,
    under_way: AtomicU32,
    resets: Mutex<Resets>,
    reader: Mutex<Reader>,
    /// Whether the request at hand has an end of its own.
    ends: AtomicBool,
    ending: Mutex<Option<Ending>>,
    abandon: Abandon,
    /// Of a connection with TLS, once hands are shaken.
    shown: OnceLock<Arc<Shown>>,
    /// Ends it once its requests are done.
    retire: watch::Sender<bool>,
}

#[derive(Debug)]
struct Resets {
    since: Instant,
    count: u32,
}

/// What is read from the connection.
#[derive(Debug)]
struct Reader {
    at: At,
    /// The octets of the head that is awaited, and what came with it.
    kept: Vec<u8>,
    /// When the first of them came; of the first head, when the connection was there. Nothing while no head is coming.
    since: Option<time::Instant>,
    /// How many heads were awaited after the first one.
    awaited: u64,
}

#[derive(Debug)]
enum At {
    /// Before a head of HTTP/1 is read.
    Head,
    /// In a chunked body.
    Chunks(Chunks),
    /// In what needs no following.
    Rest,
    /// After a request without a body: only its answer is to come.
    Answer,
    /// After a chunked body that was out of form, or where nothing more is to be read.
    Broken(&'static str),
}

/// How the body of a request on HTTP/1 ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// After its `Content-Length`.
    Sized,
    /// With its last chunk.
    Chunked,
}

/// How a head stands with its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// It has passed.
    Late,
    /// It is then, at the earliest.
    LateAt(time::Instant),
    /// Nothing of it is there, nor of a request before it; it is the one of this number.
    Quiet(u64),
}

/// A stream that has begun and is not over.
pub(super) struct UnderWay(Line);

impl Line {
    /// A connection that begins now; `retire` ends it once its requests are done.
    pub(super) fn new(
        limits: Arc<LineLimits>,
        redirect: Option<Arc<Redirect>>,
        retire: watch::Sender<bool>,
        now: Instant,
    ) -> Self {
        Self(Arc::new(Shared {
            limits,
            redirect,
            requested: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            resets: Mutex::new(Resets {
                since: now,
                count: 0,
            }),
            reader: Mutex::new(Reader {
                at: At::Head,
                kept: Vec::new(),
                since: None,
                awaited: 0,
            }),
            ends: AtomicBool::new(false),
            ending: Mutex::default(),
            abandon: Abandon::default(),
            shown: OnceLock::new(),
            retire,
        }))
    }

    /// Puts it on the connection, where each session finds it.
    pub(super) fn mark(&self, stream: &mut impl GetProxyDigest) -> pingora::Result<()> {
        // The one place for what a user of Pingora knows of a connection; the head, of an answer to `CONNECT`, is for others.
        let head = Box::new(ResponseHeader::build(StatusCode::OK, Some(0))?);
        stream.set_proxy_digest(ProxyDigest::new(head, Some(Box::new(self.clone()))));
        Ok(())
    }

    /// The connection of a session.
    pub(crate) fn of(digest: Option<&Digest>) -> Option<&Self> {
        let known = digest?.proxy_digest.as_ref()?;
        known.user_data.as_ref()?.downcast_ref()
    }

    /// One that nothing limits.
    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let limits = LineLimits {
            requests: u32::MAX,
            streams: 1,
            resets: u32::MAX,
            reset_too_often: IntCounter::new("resets", "-").unwrap(),
        };
        Self::new(
            Arc::new(limits),
            None,
            watch::channel(false).0,
            Instant::now(),
        )
    }

    /// Where its listener sends callers without TLS, if anywhere.
    pub(crate) fn redirect(&self) -> Option<&Arc<Redirect>> {
        self.0.redirect.as_ref()
    }

    /// Whether it takes no more requests.
    #[cfg(test)]
    pub(super) fn is_retired(&self) -> bool {
        *self.0.retire.borrow()
    }

    /// Whether a request was awaited on it, or a stream begun: before that, it has said nothing, or speaks TLS.
    pub(super) fn has_requested(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }

    /// Hands are shaken.
    pub(super) fn set_shown(&self, shown: Shown) {
        // They are shaken once.
        let _ = self.0.shown.set(Arc::new(shown));
    }

    /// What its caller showed, where it speaks TLS.
    pub(crate) fn shown(&self) -> Option<&Arc<Shown>> {
        self.0.shown.get()
    }

    /// Whether its caller showed a certificate that is over by this time.
    pub(super) fn is_over_by(&self, time: impl FnOnce() -> SystemTime) -> bool {
        let shown = self.shown().filter(|shown| shown.names().is_some());
        shown.is_some_and(|shown| shown.is_over(time()))
    }

    /// Takes no more requests than those that are under way.
    pub(crate) fn retire(&self) {
        self.0.retire.send_replace(true);
    }

    /// The time for the first head begins now, and not before TLS was spoken.
    pub(super) fn open(&self, now: time::Instant) {
        self.reader().since = Some(now);
    }

    /// A head of HTTP/1 is to come.
    pub(super) fn await_request(&self) {
        if self.0.ends.swap(false, Ordering::Relaxed) {
            *self.ending() = None;
        }
        if self.0.requested.swap(true, Ordering::Relaxed) {
            self.reader().await_head();
        }
    }

    /// The head that was awaited is there.
    pub(crate) fn head_is_read(&self) {
        self.reader().since = None;
    }

    /// A request begins on HTTP/2.
    pub(super) fn begin_stream(&self) -> UnderWay {
        let shared = &*self.0;
        shared.requested.store(true, Ordering::Relaxed);
        let begun = shared
            .requests
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        self.reader().rest();
        let limit = shared.limits.requests;
        if begun >= limit {
            self.retire();
            // A caller who goes on after the farewell, which he needs not to answer.
            if begun - limit > FAREWELL {
                self.cut("the connection has had its requests");
            }
        }
        UnderWay(self.clone())
    }

    /// Whether more of its requests are under way than its caller can have open: he breaks them off while they are served.
    pub(crate) fn is_crowded(&self) -> bool {
        let most = self.0.limits.streams.saturating_mul(2);
        self.0.under_way.load(Ordering::Relaxed) > most
    }

    /// Counts an HTTP/2 request that its caller broke off; one too many ends the connection (CVE-2023-44487).
    pub(crate) fn broken_off(&self, now: Instant) {
        let mut resets = self.0.resets.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(resets.since) > MINUTE {
            resets.since = now;
            resets.count = 0;
        }
        resets.count = resets.count.saturating_add(1);
        let too_often = resets.count == self.0.limits.resets.saturating_add(1);
        drop(resets);
        if too_often {
            self.0.limits.reset_too_often.inc();
            self.cut("too many requests were broken off");
        }
    }

    /// Whether the line of the head that was just read is what the parser below says it is; a head that is not known is not.
    pub(crate) fn is_line_in_form(&self) -> bool {
        let reader = self.reader();
        matches!(reader.at, At::Head) && is_line_in_form(&reader.kept)
    }

    /// The head is read, and what is read from now on belongs to this body, which is followed if it comes in chunks. Fails
    /// where what came with the head is out of form.
    pub(crate) fn body(&self, body: Body) -> Result<(), BadChunk> {
        let mut reader = self.reader();
        if !matches!(reader.at, At::Head) {
            return Ok(());
        }
        if body != Body::Chunked {
            reader.rest();
            if body == Body::None {
                reader.at = At::Answer;
            }
            return Ok(());
        }
        let mut chunks = Chunks::begin();
        let followed = after_head(&reader.kept)
            .ok_or(BadChunk)
            .and_then(|body| chunks.follow(body));
        reader.rest();
        reader.at = match followed {
            Ok(()) => At::Chunks(chunks),
            Err(BadChunk) => At::Broken(OUT_OF_FORM),
        };
        followed
    }

    /// What is read from now on is no HTTP any more, in either direction.
    pub(crate) fn tunnel(&self) {
        self.reader().rest();
    }

    /// Has the request at hand, of HTTP/1, end with this.
    pub(super) fn end_with(&self, ending: Ending) {
        ending.or_else(&self.0.abandon);
        *self.ending() = Some(ending);
        self.0.ends.store(true, Ordering::Release);
    }

    /// Waits until the connection is to be dropped, whatever it is in.
    pub(super) async fn abandoned(&self) {
        self.0.abandon.asked().await;
    }

    /// Ready once when the request at hand is to end.
    pub(super) fn poll_over(&self, context: &Context<'_>) -> Poll<()> {
        if !self.0.ends.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let ending = self.ending();
        ending
            .as_ref()
            .map_or(Poll::Pending, |ending| ending.poll(context))
    }

    fn ending(&self) -> MutexGuard<'_, Option<Ending>> {
        // It is replaced as a whole.
        self.0.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing but the answer to a request of HTTP/1 is to come.
    pub(super) fn awaits_answer(&self) -> bool {
        matches!(self.reader().at, At::Answer)
    }

    /// Takes note of what was read; an error is the connection's end.
    pub(super) fn read(&self, octets: &[u8]) -> io::Result<()> {
        let mut reader = self.reader();
        let Reader {
            at, kept, since, ..
        } = &mut *reader;
        match at {
            At::Rest | At::Answer => Ok(()),
            At::Head => {
                since.get_or_insert_with(time::Instant::now);
                if kept.len() + octets.len() <= KEPT {
                    kept.extend_from_slice(octets);
                } else {
                    // No head is as long as that; of a body that came with it, nothing is known.
                    kept.clear();
                    *at = At::Broken("a head is too long");
                }
                Ok(())
            }
            At::Chunks(chunks) => chunks.follow(octets).map_err(|bad| {
                *at = At::Broken(OUT_OF_FORM);
                io::Error::new(io::ErrorKind::InvalidData, bad)
            }),
            At::Broken(why) => Err(io::Error::other(*why)),
        }
    }

    /// Whether the head at hand has been coming for too long by now; then nothing more is read.
    pub(super) fn head(&self, now: time::Instant, patience: Duration) -> Head {
        let mut reader = self.reader();
        let due = reader.since.unwrap_or(now) + patience;
        if reader.since.is_some() && due <= now {
            reader.at = At::Broken("a head is late");
            return Head::Late;
        }
        if reader.is_quiet() {
            return Head::Quiet(reader.awaited);
        }
        Head::LateAt(due)
    }

    /// Whether nothing came of the head of this number until now; then nothing is read any more.
    pub(super) fn ends_quiet(&self, awaited: u64) -> bool {
        let mut reader = self.reader();
        let ends = reader.is_quiet() && reader.awaited == awaited;
        if ends {
            reader.at = At::Broken("the connection is quiet");
        }
        ends
    }

    fn cut(&self, why: &'static str) {
        tracing::debug!(why, "A connection ends");
        self.reader().at = At::Broken(why);
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        // Nothing panics between two changes that belong together.
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn await_head(&mut self) {
        if !matches!(self.at, At::Broken(_)) {
            self.at = At::Head;
        }
        self.kept.clear();
        self.since = None;
        self.awaited = self.awaited.wrapping_add(1);
    }

    /// Whether a head is awaited after the first one, and nothing of it is there.
    fn is_quiet(&self) -> bool {
        matches!(self.at, At::Head) && self.awaited > 0 && self.kept.is_empty()
    }

    fn rest(&mut self) {
        if !matches!(self.at, At::Broken(_)) {
            self.at = At::Rest;
        }
        self.kept.clear();
        self.kept.shrink_to(SPARE);
        self.since = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the request line, of a request whose bytes are all there, is in form.
pub(crate) fn check_line(request: &[u8]) -> bool {
    is_line_in_form(request)
}

/// Whether the chunked body of a request, whose bytes are all there, is in form.
pub(crate) fn check_body(request: &[u8]) -> Result<(), BadChunk> {
    Chunks::begin().follow(after_head(request).ok_or(BadChunk)?)
}

const OUT_OF_FORM: &str = "a chunked body is out of form";
const MINUTE: Duration = Duration::from_mins(1);
/// Streams that a caller may have begun before he hears that the connection ends.
const FAREWELL: u32 = 1024;
/// The parser gives up at 1 MiB; what it reads beyond is at most a buffer.
const KEPT: usize = 1024 * 1024 + 128 * 1024;
/// What a quiet connection keeps for its next head.
const SPARE: usize = 4096;

#[cfg(test)]
mod tests;
