//! Requests as a connection brings them: what the connection must know of each before it is served.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server::H2Options},
    server::ShutdownWatch,
};

use super::{ending::Abandon, line::Line, stream};

/// An HTTP application that is told of a connection's requests through its [`Line`].
pub(crate) struct Requests<A>(Arc<A>);

impl<A> Requests<A> {
    /// Those of an application.
    pub(crate) fn of(app: A) -> Self {
        Self(Arc::new(app))
    }
}

type Served<'s> = Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 's>>;

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for Requests<A> {
    // Written as `async_trait` would, because on HTTP/1 the application's own future is enough: around it, a second one would
    // copy the session and be asked each time.
    fn process_new_http<'app, 'down, 'served>(
        self: &'app Arc<Self>,
        session: ServerSession,
        shutdown: &'down ShutdownWatch,
    ) -> Served<'served>
    where
        'app: 'served,
        'down: 'served,
        Self: 'served,
    {
        let line = Line::of(session.digest());
        if session.as_http1().is_some() {
            if let Some(line) = line {
                line.await_request();
            }
            return self.0.process_new_http(session, shutdown);
        }
        let under_way = line.map(Line::begin_stream);
        Box::pin(async move {
            let _under_way = under_way;
            let abandon = Abandon::default();
            let session = stream::timed(session, &abandon);
            tokio::select! {
                biased;
                reused = self.0.process_new_http(session, shutdown) => reused,
                () = abandon.asked() => None,
            }
        })
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
