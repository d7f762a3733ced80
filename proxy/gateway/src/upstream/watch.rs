//! Following servers: where their names lead, and whether they pass their health checks.

use std::{sync::Arc, time::Duration};

use settings::Protocol;
use tokio::net::lookup_host;

use super::Server;

/// Follows a server's name and health for as long as its upstream lives.
pub(super) async fn watch(server: Arc<Server>, probe: Option<String>) {
    let client = match probe.as_ref().map(|_| client(server.protocol)).transpose() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "Health checks cannot start");
            None
        }
    };
    let mut failures = 0;
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        if server.fixed_address().is_none() {
            resolve(&server).await;
        }
        if let (Some(client), Some(probe)) = (&client, &probe) {
            let answer = client.get(probe).send().await;
            let well = answer.is_ok_and(|answer| answer.status().is_success());
            failures = if well { 0 } else { failures + 1 };
            if well || failures >= FAILURES {
                server.set_healthy(well);
            }
        }
    }
}

async fn resolve(server: &Server) {
    let found = lookup_host((server.at.host.as_str(), server.at.port)).await;
    server.resolved(found.map(Iterator::collect));
}

fn client(protocol: Option<Protocol>) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder();
    let builder = match protocol {
        Some(Protocol::Http1) => builder.http1_only(),
        Some(Protocol::Http2) => builder.http2_prior_knowledge(),
        None => builder,
    };
    builder
        .redirect(reqwest::redirect::Policy::none())
        // Nor do requests to it go through a proxy that the environment names.
        .no_proxy()
        .timeout(PROBE)
        .build()
}

const PROBE: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_secs(5);
/// Checks in a row that must fail before a server counts as ill.
const FAILURES: u32 = 2;
