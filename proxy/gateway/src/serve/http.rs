//! Pingora's HTTP server on every listener.

use std::{sync::Arc, time::Duration};

use pingora::{
    apps::{HttpServerOptions, ServerApp as _},
    protocols::http::v2::server::default_h2_options,
    proxy::http_proxy,
    server::configuration::ServerConf,
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    gateway::Gateway,
    listen::{self, Bound, Connections, HeaderDeadline, Patience},
};

/// Serves until the shutdown, and until what was under way is done.
pub(super) async fn serve(
    gateway: Gateway,
    bound: Vec<Bound>,
    open: Arc<Connections>,
    first_request: Duration,
    mut down: watch::Receiver<bool>,
) {
    let conf = Arc::new(ServerConf {
        max_retries: TRIES,
        upstream_keepalive_pool_size: IDLE_CONNECTIONS,
        ..ServerConf::default()
    });
    let patience = Patience {
        first_request,
        stall: gateway.pace.silence,
    };
    let mut proxy = http_proxy(&conf, gateway);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(IDLE);
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(STREAMS);
    proxy.h2_options = Some(h2);
    let app = Arc::new(HeaderDeadline::new(proxy));
    let mut listeners = JoinSet::new();
    for bound in bound {
        listeners.spawn(listen::serve(
            bound,
            app.clone(),
            open.clone(),
            patience,
            down.clone(),
        ));
    }
    // An error is a sender that is gone, which is a shutdown too.
    let _ = down.wait_for(|down| *down).await;
    // Wakes connections that wait for their next request.
    app.cleanup().await;
    listeners.join_all().await;
}

const TRIES: usize = 3;
/// To upstreams, for each thread.
const IDLE_CONNECTIONS: usize = 512;
/// Of an HTTP/2 connection without streams.
const IDLE: Duration = Duration::from_mins(1);
/// On one HTTP/2 connection at once.
const STREAMS: u32 = 128;
