//! Pingora's HTTP server on every listener.

use std::{pin::pin, sync::Arc, time::Duration};

use pingora::{
    apps::{HttpServerOptions, ServerApp as _},
    protocols::http::v2::server::{H2Options, default_h2_options},
    proxy::http_proxy,
    server::configuration::ServerConf,
};
use tokio::{sync::watch, task::JoinSet};

use super::limits::idle_connections;
use crate::{
    gateway::Gateway,
    listen::{self, Bound, Connections, Intake, LineLimits, Requests, Terms},
};

/// Serves until the shutdown, and until what was under way is done.
pub(super) async fn serve(
    gateway: Gateway,
    bound: Vec<Bound>,
    open: Arc<Connections>,
    limits: settings::Limits,
    head: Duration,
    mut intake: watch::Receiver<Intake>,
) {
    let conf = Arc::new(ServerConf {
        max_retries: TRIES,
        // Times `threads`, which is one: the pool is one for all.
        upstream_keepalive_pool_size: idle_connections().0,
        ..ServerConf::default()
    });
    let terms = terms(&gateway, &limits, head);
    let mut proxy = http_proxy(&conf, gateway);
    proxy.server_options = Some(server_options(&limits));
    proxy.h2_options = Some(h2_options(&limits));
    let app = Arc::new(Requests::of(proxy));
    let mut listeners = JoinSet::new();
    for bound in bound {
        listeners.spawn(listen::serve(
            bound,
            app.clone(),
            open.clone(),
            terms.clone(),
            intake.clone(),
        ));
    }
    let mut served = pin!(listeners.join_all());
    tokio::select! {
        _ = &mut served => return,
        // An error is a sender that is gone, which closes too.
        _ = intake.wait_for(|intake| *intake == Intake::Closed) => {}
    }
    // Wakes connections that wait for their next request.
    app.cleanup().await;
    served.await;
}

/// What holds for all connections.
fn terms(gateway: &Gateway, limits: &settings::Limits, head: Duration) -> Terms {
    let of = &gateway.metrics.limits;
    Terms {
        head,
        idle: IDLE,
        stall: gateway.pace.silence,
        limits: Arc::new(LineLimits {
            requests: limits.requests_per_connection,
            streams: limits.http2_streams,
            resets: limits.http2_resets,
            reset_too_often: of.reset_too_often(),
        }),
        untold: of.untold(),
        clock: gateway.clock.clone(),
    }
}

fn server_options(limits: &settings::Limits) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(IDLE);
    // Pingora counts how often a connection is used again.
    options.keepalive_request_limit = Some(limits.requests_per_connection.saturating_sub(1));
    options
}

fn h2_options(limits: &settings::Limits) -> H2Options {
    let mut options = default_h2_options();
    options.max_concurrent_streams(limits.http2_streams);
    // It counts 32 octets for each field beside what the field has (RFC 9113 section 6.5.2).
    let overhead = 32 * (u32::from(limits.header_fields) + PSEUDO_FIELDS);
    options.max_header_list_size(limits.header_bytes.saturating_add(overhead));
    options
}

const TRIES: usize = 3;
/// `:method`, `:scheme`, `:authority` and `:path`.
const PSEUDO_FIELDS: u32 = 4;
/// Of a connection without requests.
const IDLE: Duration = Duration::from_mins(1);
