//! One process, from its settings to its end.

mod shared;

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use serde_json::json;
use settings::Settings;
use tokio::{sync::watch, time::timeout};

use super::{
    Overrides, Secured, Sockets, http, invalid, limits, pools,
    running::Running,
    runtimes::Runtimes,
    signals::{Asked, Signals},
    upgrade::{Handed, Inherited, Listens, Origin},
};
use crate::{
    admin::{self, Views},
    gateway::{
        Gateway,
        record::{Recorders, Writers},
    },
    listen::{Bound, Connections, Intake},
    logs,
    reload::{self, Fixed, Reloader, Watch},
    traces::Exporter,
};
use shared::Shared;

/// A gate that is bound and loaded.
pub(crate) struct Process {
    runtimes: Runtimes,
    bound: Vec<Bound>,
    connections: Arc<Connections>,
    /// For how long the head of a request may come.
    head: Duration,
    admin: Option<(TcpListener, SocketAddr)>,
    public_url: Option<String>,
    logs: logs::Sink,
    writers: Writers,
    exporter: Exporter,
    gateway: Gateway,
    views: Views,
    reloader: Reloader,
    settings: Settings,
    signals: Option<Signals>,
    inherited: Option<Inherited>,
}

/// Settings, with the command line's over them, whose files are followed from before they were read.
pub(super) struct Loaded {
    settings: Settings,
    overrides: Overrides,
    watch: Watch,
    /// What another process hands on.
    inherited: Option<Inherited>,
}

impl Loaded {
    /// Loads the settings in a file.
    pub(super) fn load(
        file: &Path,
        overrides: Overrides,
        inherited: Option<Inherited>,
    ) -> anyhow::Result<Self> {
        let file = std::path::absolute(file)?;
        let mut watch = Watch::start(vec![file.clone()]);
        let mut settings = reload::load(&file, &mut watch)?;
        overrides.apply(&mut settings);
        Ok(Self {
            settings,
            overrides,
            watch,
            inherited,
        })
    }
}

impl Process {
    /// Loads and opens everything, and binds; nothing is served yet.
    pub(crate) fn start(
        file: &Path,
        overrides: Overrides,
        inherited: Option<Inherited>,
    ) -> anyhow::Result<Self> {
        limits::raise_descriptors();
        let loaded = Loaded::load(file, overrides, inherited)?;
        let log = &loaded.settings.log;
        let logs = logs::start(log.level.as_deref(), log.file.clone())?;
        let runtimes = Runtimes::start(loaded.settings.workers)?;
        // Before anything is bound or printed: whoever sees that may send a signal.
        let signals = {
            let _entered = runtimes.background.enter();
            Signals::listen()?
        };
        Self::open(loaded, logs, runtimes, Some(signals))
    }

    /// As [`Process::start`], for settings that are loaded, logs that are open, and signals if they are listened to.
    pub(super) fn open(
        loaded: Loaded,
        logs: logs::Sink,
        runtimes: Runtimes,
        mut signals: Option<Signals>,
    ) -> anyhow::Result<Self> {
        let Loaded {
            mut settings,
            overrides,
            watch,
            mut inherited,
        } = loaded;
        let sockets = Sockets::bind(&settings, inherited.as_mut())?;
        let fixed = Fixed::of(&settings);
        let public_url = pools::public_url(&mut settings, &overrides, &sockets.bound)?;
        let shared = Shared::open(&settings, &runtimes, signals.as_mut())?;
        warn_of_invalid(&sockets.secured, shared.clock.now());
        let (recorders, writers) = Recorders::start(&settings.log, &shared.metrics.lost)?;
        runtimes.background.spawn(shared.review());
        let file = settings.file.clone();
        let limits = &settings.limits;
        let (connections, requests) = limits::shares(limits, &shared.metrics, &shared.current);
        Ok(Self {
            connections,
            exporter: shared.export(&runtimes),
            gateway: shared.gateway(limits, recorders, requests),
            views: shared.views(&sockets.secured),
            reloader: shared.reloader(file, overrides, watch, fixed, sockets.secured),
            runtimes,
            bound: sockets.bound,
            head: Duration::from_secs(limits.header_seconds.into()),
            admin: sockets.admin,
            public_url,
            logs,
            writers,
            settings,
            signals,
            inherited,
        })
    }

    /// The first line on standard output: where everything listens, as JSON.
    pub(crate) fn announce(&self) -> anyhow::Result<()> {
        let mut line = json!({
            "listen": self.addresses(),
            "admin": self.admin.as_ref().map(|(_, address)| address),
            "pid": std::process::id(),
        });
        if let (Some(url), Some(line)) = (&self.public_url, line.as_object_mut()) {
            line.insert("public_url".into(), json!(url));
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Where the gate listens, in the order of the settings.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(Bound::address).collect()
    }

    /// Where callers reach the pools, if there are any.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The first operator's keys, for those who are on this machine anyway.
    pub(crate) fn operator(&self) -> Option<(&str, &str)> {
        let operator = self.settings.pools.as_ref()?.operators.first()?;
        Some((&operator.access_key_id, operator.secret.expose_secret()))
    }

    /// Runs something else until the process ends.
    pub(crate) fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtimes.background.spawn(task);
    }

    /// Serves until a signal ends it.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let mut signals = self.signals.take().context("signals are not listened to")?;
        let origin = Origin::of_this()?;
        let inherited = self.inherited.take();
        if inherited.is_some() && self.settle(&mut signals).is_some() {
            // The process before this one serves on.
            return Ok(());
        }
        let running = self.serve()?;
        if let Some(inherited) = inherited {
            let told = inherited.ready();
            told.context("the process before this one cannot be told")?;
        }
        running.until(signals, &origin);
        Ok(())
    }

    /// Waits until requests can be answered as well as before: keys are there, and servers' addresses. Not for ever: they
    /// may be gone. Says what end was asked for meanwhile, if one was.
    fn settle(&self, signals: &mut Signals) -> Option<Asked> {
        let settled = async {
            while !self.views.current.load().is_settled() {
                tokio::time::sleep(PACE).await;
            }
        };
        self.runtimes.background.block_on(async {
            tokio::select! {
                _ = timeout(SETTLED, settled) => None,
                asked = signals.end() => Some(asked),
            }
        })
    }

    /// Begins to serve.
    pub(super) fn serve(self) -> anyhow::Result<Running> {
        let sockets = self.sockets()?;
        let (intake, taken) = watch::channel(Intake::Open);
        let status = self.reloader.status.clone();
        let recorders = self.gateway.recorders.clone();
        let streams = self.gateway.streams.clone();
        let background = &self.runtimes.background;
        let admin = self
            .admin
            .map(|(socket, address)| background.spawn(serve_admin(socket, address, self.views)));
        let asks = self.reloader.asks.clone();
        background.spawn(self.reloader.run());
        let served = http::serve(
            self.gateway,
            self.bound,
            self.connections,
            self.settings.limits,
            self.head,
            taken,
        );
        Ok(Running {
            served: self.runtimes.gate.spawn(served),
            runtimes: self.runtimes,
            admin,
            sockets,
            intake,
            asks,
            status,
            recorders,
            writers: self.writers,
            exporter: self.exporter,
            logs: self.logs,
            wait: Duration::from_secs(self.settings.limits.drain_wait_seconds.into()),
            grace: Duration::from_secs(self.settings.limits.drain_seconds.into()),
            streams,
        })
    }

    /// What listens, as the settings name it.
    fn sockets(&self) -> anyhow::Result<Vec<Handed>> {
        let listeners = self.settings.listeners.iter().zip(&self.bound);
        let listeners =
            listeners.map(|(listener, bound)| (Listens::Gate(listener.address), bound.socket()));
        let admin = self.admin.as_ref().zip(self.settings.admin);
        let admin =
            admin.map(|((socket, _), address)| (Listens::Admin(address), socket.try_clone()));
        listeners
            .chain(admin)
            .map(|(listens, socket)| {
                let socket = socket.context("a socket cannot be kept")?;
                Ok(Handed { listens, socket })
            })
            .collect()
    }
}

/// Logs certificates that are expired or not valid yet. They are served all the same: other listeners are needed, and there
/// are callers who do not look.
fn warn_of_invalid(secured: &[Secured], now: SystemTime) {
    for problem in invalid(secured, now) {
        tracing::warn!(%problem, "A listener's certificate is not valid now");
    }
}

/// For what a successor lacks at first; then it serves as it is.
const SETTLED: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(10);

async fn serve_admin(socket: TcpListener, address: SocketAddr, views: Views) {
    if let Err(error) = admin::serve(socket, views).await {
        tracing::error!(%address, %error, "Admin listener failed");
    }
}

#[cfg(test)]
mod tests;
