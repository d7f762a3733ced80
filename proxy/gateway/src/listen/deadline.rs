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
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server::H2Options},
    server::ShutdownWatch,
};
use tokio::{sync::watch, time::sleep};

tokio::task_local! {
    /// Set once the head of the request at hand is read.
    static HEAD_READ: Arc<AtomicBool>;
    /// Set once the connection has brought a request.
    static REQUESTED: Arc<AtomicBool>;
}

/// Tells the deadline that the head is read: `ProxyHttp::new_ctx` is called at exactly that moment.
pub(crate) fn head_is_read() {
    // Outside of a deadline (tests) there is nothing to tell.
    let _ = HEAD_READ.try_with(|flag| flag.store(true, Ordering::Relaxed));
}

/// Runs a connection, and drops it if it brings no request in time, or none before the shutdown.
pub(super) async fn first_request(
    connection: impl Future<Output = ()>,
    mut shutdown: watch::Receiver<bool>,
) {
    let requested = Arc::new(AtomicBool::new(false));
    let connection = REQUESTED.scope(requested.clone(), connection);
    let too_late = async {
        tokio::select! {
            () = sleep(FIRST_REQUEST) => {}
            // An error is a sender that is gone, which is a shutdown too.
            _ = shutdown.wait_for(|down| *down) => {}
        }
    };
    within(too_late, &requested, connection).await;
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
        // HTTP/2 runs each stream in a task of its own, where there is no connection to tell; its head is read already.
        let reused = REQUESTED
            .try_with(|flag| flag.swap(true, Ordering::Relaxed))
            .unwrap_or(true);
        let keepalive = session.get_keepalive().filter(|_| reused).unwrap_or(0);
        let done = Arc::new(AtomicBool::new(false));
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
const FIRST_REQUEST: Duration = Duration::from_secs(15);

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
