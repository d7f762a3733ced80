//! Deadlines for whole request heads: Pingora's own timeout is for each read, so a slow sender could hold a connection
//! for ever.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server::H2Options},
    server::ShutdownWatch,
};
use tokio::{
    sync::watch,
    time::{sleep, sleep_until},
};

use super::{line::Line, stream};

tokio::task_local! {
    /// Set once the head of the request at hand is read.
    static HEAD_READ: Arc<AtomicBool>;
}

/// Tells the deadline that the head is read: `ProxyHttp::new_ctx` is called at exactly that moment.
pub(crate) fn head_is_read() {
    // Outside of a deadline (tests) there is nothing to tell.
    let _ = HEAD_READ.try_with(|flag| flag.store(true, Ordering::Relaxed));
}

/// Runs a connection, and drops it if it brings no request in time, or none before the shutdown.
pub(super) async fn first_request(
    connection: impl Future<Output = ()>,
    requested: &AtomicBool,
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
    within(too_late, requested, connection).await;
}

/// An HTTP application whose requests' heads must arrive in time.
pub(crate) struct HeaderDeadline<A> {
    app: Arc<A>,
    patience: Duration,
}

impl<A> HeaderDeadline<A> {
    /// Puts the deadline around an application: a head may take so long from its first octet to its last, and the first one
    /// from when the connection was there.
    pub(crate) fn new(app: A, patience: Duration) -> Self {
        Self {
            app: Arc::new(app),
            patience,
        }
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for HeaderDeadline<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let line = Line::of(session.digest()).cloned();
        let is_http1 = session.as_http1().is_some();
        let _under_way = line.as_ref().map(|line| line.begin(is_http1));
        if !is_http1 {
            // Its head is there.
            return self
                .app
                .process_new_http(stream::timed(session), shutdown)
                .await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let request = self.app.process_new_http(session, shutdown);
        let request = HEAD_READ.scope(done.clone(), request);
        within(late(line.as_ref(), self.patience), &done, request).await?
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.app.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.app.server_options()
    }

    async fn http_cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

/// Ends when the head at hand is late. Where nothing of it is there yet, the connection is quiet, which Pingora bounds.
async fn late(line: Option<&Line>, patience: Duration) {
    let Some(line) = line else {
        return sleep(patience).await;
    };
    loop {
        let now = Instant::now();
        let due = line.head_since().unwrap_or(now) + patience;
        if due <= now {
            return;
        }
        sleep_until(due.into()).await;
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_is_late_from_its_first_octet_on() {
        const PATIENCE: Duration = Duration::from_secs(3);
        let line = Line::for_tests();
        let begun = tokio::time::Instant::now();
        let first = tokio::time::timeout(PATIENCE * 2, late(Some(&line), PATIENCE));
        first.await.unwrap();
        assert!(begun.elapsed() <= PATIENCE + PATIENCE / 10);
        drop(line.begin(true));
        let _second = line.begin(true);
        let quiet = tokio::time::timeout(PATIENCE * 9, late(Some(&line), PATIENCE));
        quiet
            .await
            .expect_err("nothing of the second head is there");
        line.read(b"G").unwrap();
        let begun = tokio::time::Instant::now();
        late(Some(&line), PATIENCE).await;
        assert!(begun.elapsed() <= PATIENCE + PATIENCE / 10);
    }

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
