//! The process: three runtimes (gate, engine, background), so that none waits for another's work.

use std::{
    io::Write as _, net::SocketAddr, path::Path, sync::Arc, thread::available_parallelism,
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use pingora::{
    apps::{HttpServerOptions, ServerApp as _},
    protocols::http::v2::server::default_h2_options,
    proxy::http_proxy,
    server::configuration::ServerConf,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use settings::Settings;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Overrides, bind, certificates,
    signals::{Asked, Signals},
};
use crate::{
    admin,
    gateway::{Gateway, record},
    listen::{self, Bound, HeaderDeadline},
    logs,
    metrics::Metrics,
    mount::Mount,
    reload::{Fixed, Reloader},
    snapshot::Maker,
    status::{Degraded, Status},
};

/// A gate that is bound and loaded.
pub(crate) struct Process {
    gate: Runtime,
    engine_runtime: Runtime,
    background: Runtime,
    bound: Vec<Bound>,
    admin: Option<(std::net::TcpListener, SocketAddr)>,
    public_url: String,
    logs: logs::Sink,
    recorder: record::Recorder,
    writer: record::Writer,
    gateway: Gateway,
    views: admin::Views,
    reloader: Reloader,
    settings: Settings,
}

impl Process {
    /// Loads and opens everything, and binds; nothing is served yet.
    pub(crate) fn start(file: &Path, overrides: Overrides) -> anyhow::Result<Self> {
        let mut settings = settings::load(file)?;
        overrides.apply(&mut settings);
        let logs = logs::start(settings.log.level.as_deref(), settings.log.file.clone())?;
        let threads = available_parallelism().map_or(2, std::num::NonZero::get);
        let gate = runtime("gate", threads)?;
        let engine_runtime = runtime("engine", threads)?;
        let background = runtime("background", 1)?;
        let certificates = certificates(&settings)?;
        let bound = bind(&settings, &certificates)?;
        let admin = settings
            .admin
            .map(|address| {
                admin::bind(address).with_context(|| format!("cannot listen on {address}"))
            })
            .transpose()?;
        let fixed = Fixed::of(&settings);
        let public_url = public_url(&mut settings, &overrides, &bound)?;
        let metrics = Metrics::new()?;
        let clock: Arc<dyn engine::Clock> = Arc::new(engine::SystemClock);
        let engine = settings
            .pools
            .as_ref()
            .map(|pools| engine_runtime.block_on(open(pools, clock.clone())))
            .transpose()?;
        if let Some(engine) = &engine {
            metrics.follow_store(engine);
        }
        let mount = engine
            .as_ref()
            .zip(settings.pools.as_ref())
            .map(|(engine, pools)| {
                let calls: Arc<dyn api::Observer> = Arc::new(metrics.clone());
                let api = api::Api::new(engine.clone(), operators(pools), calls);
                Mount::new(api::service(api), engine_runtime.handle().clone())
            });
        let maker = Arc::new(Maker {
            metrics: metrics.clone(),
            engine: engine.clone(),
            background: Some(background.handle().clone()),
        });
        let snapshot = maker
            .make(&settings, 1, None)
            .map_err(|problems| whole(&problems))?;
        metrics.generation.set(1);
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        let (recorder, writer) = record::Recorder::start(
            settings.log.decisions.clone(),
            metrics.records_dropped.clone(),
        )
        .context("decision records cannot be written")?;
        let status = Arc::new(Status::default());
        Ok(Self {
            gateway: Gateway {
                current: current.clone(),
                mount,
                clock,
                metrics: metrics.clone(),
                recorder: recorder.clone(),
            },
            views: admin::Views {
                current: current.clone(),
                status: status.clone(),
                metrics,
                engine,
            },
            reloader: Reloader {
                file: file.to_owned(),
                overrides,
                maker,
                current,
                status,
                certificates,
                fixed,
            },
            gate,
            engine_runtime,
            background,
            bound,
            admin,
            public_url,
            logs,
            recorder,
            writer,
            settings,
        })
    }

    /// The first line on standard output: where everything listens, as JSON.
    pub(crate) fn announce(&self) -> anyhow::Result<()> {
        let listen: Vec<_> = self.bound.iter().map(Bound::address).collect();
        let line = json!({
            "listen": listen,
            "admin": self.admin.as_ref().map(|(_, address)| address),
            "public_url": self.public_url,
            "pid": std::process::id(),
        });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Where callers reach the pools.
    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The first operator's keys, for those who are on this machine anyway.
    pub(crate) fn operator(&self) -> Option<(&str, &str)> {
        let operator = self.settings.pools.as_ref()?.operators.first()?;
        Some((&operator.access_key_id, operator.secret.expose_secret()))
    }

    /// Runs something else until the process ends.
    pub(crate) fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(task);
    }

    /// Serves until a signal ends it.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let _entered = self.background.enter();
        let mut signals = Signals::listen()?;
        let status = self.reloader.status.clone();
        let (reload, asked) = mpsc::channel(1);
        if let Some((socket, address)) = self.admin {
            let views = self.views;
            self.background.spawn(async move {
                if let Err(error) = admin::serve(socket, views).await {
                    tracing::error!(%address, %error, "Admin listener failed");
                }
            });
        }
        self.background
            .spawn(self.reloader.run(self.settings, asked));
        let (shutdown, down) = watch::channel(false);
        let served = self.gate.spawn(serve(self.gateway, self.bound, down));
        let stopped = self.background.block_on(async {
            loop {
                match signals.next().await {
                    Asked::Reload => {
                        // A full channel has asked already.
                        let _ = reload.try_send(());
                    }
                    Asked::Reopen => reopen(&self.logs, &self.recorder),
                    stop => break stop,
                }
            }
        });
        tracing::info!(how = ?stopped, "Shutting down");
        status.drain();
        shutdown.send_replace(true);
        let grace = if stopped == Asked::Drain {
            GRACE
        } else {
            Duration::ZERO
        };
        let finished = self.background.block_on(async {
            tokio::select! {
                _ = served => true,
                () = tokio::time::sleep(grace) => false,
                _ = signals.next() => false,
            }
        });
        if !finished && stopped == Asked::Drain {
            tracing::warn!("Requests were cut off");
        }
        self.gate.shutdown_timeout(STOP);
        self.engine_runtime.shutdown_timeout(STOP);
        drop(reload);
        self.background.shutdown_background();
        drop(self.recorder);
        self.writer.finish();
        Ok(())
    }
}

/// Runs Pingora on every listener until the shutdown, and until what was under way is done.
async fn serve(gateway: Gateway, bound: Vec<Bound>, down: watch::Receiver<bool>) {
    let conf = Arc::new(ServerConf {
        max_retries: MAX_TRIES,
        upstream_keepalive_pool_size: 512,
        ..ServerConf::default()
    });
    let mut proxy = http_proxy(&conf, gateway);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(Duration::from_secs(60));
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(128);
    proxy.h2_options = Some(h2);
    let app = Arc::new(HeaderDeadline::new(proxy));
    let mut listeners = JoinSet::new();
    for bound in bound {
        listeners.spawn(listen::serve(bound, app.clone(), down.clone()));
    }
    let mut down = down;
    // An error is a sender that is gone, which is a shutdown too.
    let _ = down.wait_for(|down| *down).await;
    // Wakes connections that wait for their next request.
    app.cleanup().await;
    listeners.join_all().await;
}

async fn open(
    pools: &settings::Pools,
    clock: Arc<dyn engine::Clock>,
) -> anyhow::Result<engine::Engine> {
    engine::Engine::open(
        &pools.config,
        &pools.secrets,
        clock,
        Arc::new(engine::OsRng::new()),
    )
    .await
    .context("the engine cannot start")
}

fn operators(pools: &settings::Pools) -> api::Operators {
    let operator = |operator: &settings::Operator| {
        let settings::Operator {
            access_key_id,
            secret,
            pools,
        } = operator.clone();
        api::Operator::new(access_key_id, secret, pools)
    };
    pools.operators.iter().map(operator).collect()
}

/// `public_url` as the settings say, or where the first listener listens.
fn public_url(
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
    Ok(pools
        .config
        .public_url
        .as_str()
        .trim_end_matches('/')
        .to_owned())
}

fn whole(problems: &[Degraded]) -> anyhow::Error {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.what, problem.why))
        .collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}

fn reopen(logs: &logs::Sink, recorder: &record::Recorder) {
    recorder.reopen();
    match logs.reopen() {
        Ok(()) => tracing::info!("Log files reopened"),
        Err(error) => tracing::error!(%error, "Log file cannot be reopened"),
    }
}

fn runtime(name: &str, threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .thread_name(name)
        .worker_threads(threads)
        .enable_all()
        .build()
}

/// For requests under way when the process is asked to end.
const GRACE: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_millis(500);
const MAX_TRIES: usize = 3;
