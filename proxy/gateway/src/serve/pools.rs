//! The embedded engine within the process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use engine::{Clock, Engine, OsRng};
use settings::Settings;
use tokio::runtime::Handle;

use super::{Overrides, signals::Signals};
use crate::{listen::Bound, metrics::Metrics, mount::Mount, reload::Asks};

/// Opens the engine, if the settings have one.
pub(super) fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
    metrics: &Metrics,
    signals: Option<&mut Signals>,
) -> anyhow::Result<Option<Engine>> {
    let Some(pools) = &settings.pools else {
        return Ok(None);
    };
    let rng = Arc::new(OsRng::new());
    let opening = Engine::open(&pools.config, &pools.secrets, clock.clone(), rng);
    // The store may be far away, and let us wait.
    let engine = runtime.block_on(async {
        tokio::select! {
            opened = opening => opened.context("the engine cannot start"),
            () = stopped(signals) => anyhow::bail!("told to stop before it served"),
        }
    })?;
    metrics.pools.follow_store(&engine);
    Ok(Some(engine))
}

/// Waits until a signal asks for the end.
async fn stopped(signals: Option<&mut Signals>) {
    match signals {
        Some(signals) => {
            signals.end().await;
        }
        None => std::future::pending().await,
    }
}

/// Mounts its API and pages.
pub(super) fn mount(
    settings: &Settings,
    engine: Option<&Engine>,
    runtime: &Handle,
    metrics: &Metrics,
    asks: &Asks,
) -> Option<Mount> {
    let (engine, pools) = engine.zip(settings.pools.as_ref())?;
    let router = router(pools, engine, metrics, asks);
    Some(Mount::new(router, runtime.clone(), BODY))
}

/// The engine's API and pages, for the operators of these settings, who may ask for reloads.
pub(crate) fn router(
    pools: &settings::Pools,
    engine: &Engine,
    metrics: &Metrics,
    asks: &Asks,
) -> Router {
    let operators = pools.operators.iter().map(operator).collect();
    let observer = Arc::new(metrics.pools.clone());
    let api = api::Api::new(engine.clone(), operators, observer, Arc::new(asks.clone()));
    hosted::router(engine.clone()).merge(api::service(api))
}

/// `public_url` as the settings say, or where the first listener is reached; without pools there is none.
pub(super) fn public_url(
    settings: &mut Settings,
    overrides: &Overrides,
    bound: &[Bound],
) -> anyhow::Result<Option<String>> {
    let Some(pools) = &mut settings.pools else {
        return Ok(None);
    };
    if overrides.public_url_follows {
        let first = bound.first().context("there is no listener")?;
        pools.config.public_url = local_url(first.is_tls(), first.address()).parse()?;
    }
    let url = pools.config.public_url.as_str();
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

/// Where this machine reaches a listener: one on every address has none that can be called.
fn local_url(is_tls: bool, address: SocketAddr) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

fn operator(operator: &settings::Operator) -> api::Operator {
    let settings::Operator {
        access_key_id,
        secret,
        pools,
    } = operator.clone();
    api::Operator::new(access_key_id, secret, pools)
}

/// From a request's head to the end of its body, which is 2 MiB at most: a caller with 2 Mbit/s is in time.
const BODY: Duration = Duration::from_secs(10);
