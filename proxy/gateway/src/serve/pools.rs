//! The embedded engine within the process.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use engine::{Clock, Engine, OsRng};
use settings::Settings;
use tokio::runtime::Handle;

use super::Overrides;
use crate::{listen::Bound, metrics::Metrics, mount::Mount};

/// Opens the engine, if the settings have one.
pub(super) fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
    metrics: &Metrics,
) -> anyhow::Result<Option<Engine>> {
    let Some(pools) = &settings.pools else {
        return Ok(None);
    };
    let rng = Arc::new(OsRng::new());
    let engine = runtime
        .block_on(Engine::open(
            &pools.config,
            &pools.secrets,
            clock.clone(),
            rng,
        ))
        .context("the engine cannot start")?;
    metrics.follow_store(&engine);
    Ok(Some(engine))
}

/// Mounts its API and pages.
pub(super) fn mount(
    settings: &Settings,
    engine: Option<&Engine>,
    runtime: &Handle,
    metrics: &Metrics,
) -> Option<Mount> {
    let (engine, pools) = engine.zip(settings.pools.as_ref())?;
    let operators = pools.operators.iter().map(operator).collect();
    let api = api::Api::new(engine.clone(), operators, Arc::new(metrics.clone()));
    let router = hosted::router(engine.clone()).merge(api::service(api));
    Some(Mount::new(router, runtime.clone(), BODY))
}

/// `public_url` as the settings say, or where the first listener listens.
pub(super) fn public_url(
    settings: &mut Settings,
    overrides: &Overrides,
    bound: &[Bound],
) -> anyhow::Result<String> {
    let first = bound.first().context("there is no listener")?;
    let scheme = if first.is_tls() { "https" } else { "http" };
    let ours = format!("{scheme}://{}", first.address());
    let Some(pools) = &mut settings.pools else {
        return Ok(ours);
    };
    if overrides.public_url_follows {
        pools.config.public_url = ours.parse()?;
    }
    let url = pools.config.public_url.as_str();
    Ok(url.trim_end_matches('/').to_owned())
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
