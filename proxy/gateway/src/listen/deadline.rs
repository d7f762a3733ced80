//! Deadlines for whole request heads: Pingora's own timeout is for each read, so a slow sender could hold a connection
//! for ever.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::StatusCode;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    http::ResponseHeader,
    protocols::{
        GetProxyDigest,
        http::{ServerSession, v2::server::H2Options},
        raw_connect::ProxyDigest,
    },
    server::ShutdownWatch,
};
use tokio::{sync::watch, time::sleep};

use super::stream;

tokio::task_local! {
    /// Set once the head of the request at hand is read.
    static HEAD_READ: Arc<AtomicBool>;
}

/// Whether a connection has brought a request. It travels with the connection, because each HTTP/2 stream is served in a
/// task of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Requested(Arc<AtomicBool>);

impl Requested {
    /// Puts the mark on a connection, where each session on it finds it.
    pub(super) fn mark(stream: &mut impl GetProxyDigest) -> pingora::Result<Self> {
        let requested = Self::default();
        // The one place for what a user of Pingora knows of a connection; the head, of an answer to `CONNECT`, is for others.
        let head = Box::new(ResponseHeader::build(StatusCode::OK, Some(0))?);
        let known = Box::new(requested.clone());
        stream.set_proxy_digest(ProxyDigest::new(head, Some(known)));
        Ok(requested)
    }

    fn of(session: &ServerSession) -> Option<&Self> {
        let known = session.digest()?.proxy_digest.as_ref()?;
        known.user_data.as_ref()?.downcast_ref()
    }

    /// Notes a request; whether it is the first.
    fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// Tells the deadline that the head is read: `ProxyHttp::new_ctx` is called at exactly that moment.
pub(crate) fn head_is_read() {
    // Outside of a deadline (tests) there is nothing to tell.
    let _ = HEAD_READ.try_with(|flag| flag.store(true, Ordering::Relaxed));
}

/// Runs a connection, and drops it if it brings no request in time, or none before the shutdown.
pub(super) async fn first_request(
    connection: impl Future<Output = ()>,
    requested: &Requested,
    deadline: Duration,
    mut shutdown: watch::Receiver<bool>,
) {
    let too_late = async {
        tokio::select! {
            () = sleep(deadline) => {}
            // An error is a sender that is gone, which is a shutdown too.
            _ = shutdown.wait_for(|down| *down) => {}
        }
    };
    within(too_late, &requested.0, connection).await;
}

/// An HTTP application whose requests' heads must arrive in time.
pub(crate) struct HeaderDeadline<A>(Arc<A>);

impl<A> HeaderDeadline<A> {
    /// Puts the deadline around an application.
    pub(crate) fn new(app: A) -> Self {
        Self(Arc::new(app))
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for HeaderDeadline<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let first = Requested::of(&session).is_some_and(Requested::begin);
        let keepalive = session.get_keepalive().filter(|_| !first).unwrap_or(0);
        let done = Arc::new(AtomicBool::new(false));
        let session = stream::timed(session);
        let request = HEAD_READ.scope(done.clone(), self.0.process_new_http(session, shutdown));
        let deadline = sleep(HEAD + Duration::from_secs(keepalive));
        within(deadline, &done, request).await?
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }
}

/// The future's output, or `None` where the deadline passes with the flag unset.
async fn within<T>(
    deadline: impl Future<Output = ()>,
    done: &AtomicBool,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    tokio::select! {
        output = &mut future => return Some(output),
        () = deadline => {}
    }
    if done.load(Ordering::Relaxed) {
        Some(future.await)
    } else {
        None
    }
}

/// From the first octet of a head to its last.
const HEAD: Duration = Duration::from_secs(10);
/// From the connection to its first request.
pub(crate) const FIRST_REQUEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_is_not_done_at_the_deadline_is_dropped() {
        let (done, undone) = (AtomicBool::new(true), AtomicBool::new(false));
        assert_eq!(within(ready(()), &undone, pending::<u8>()).await, None);
        assert_eq!(within(pending(), &undone, ready(1)).await, Some(1));
        let late = async {
            tokio::task::yield_now().await;
            2
        };
        assert_eq!(within(ready(()), &done, late).await, Some(2));
    }
}
