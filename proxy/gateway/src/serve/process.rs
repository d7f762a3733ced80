//! One process, from its settings to its end.

mod shared;

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use serde_json::json;
use settings::Settings;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    Overrides, Sockets, http, limits, pools,
    runtimes::Runtimes,
    signals::{Asked, Signals},
};
use crate::{
    admin::{self, Views},
    gateway::{
        Closing, Gateway, Streams,
        record::{Recorder, Writer},
    },
    listen::{Bound, Connections},
    logs,
    reload::{self, Fixed, Reloader, Watch},
    status::Status,
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
    writer: Writer,
    gateway: Gateway,
    views: Views,
    reloader: Reloader,
    settings: Settings,
    signals: Option<Signals>,
}

/// Settings, with the command line's over them, whose files are followed from before they were read.
pub(super) struct Loaded {
    settings: Settings,
    overrides: Overrides,
    watch: Watch,
}

/// A gate that serves.
pub(crate) struct Running {
    runtimes: Runtimes,
    served: JoinHandle<()>,
    shutdown: watch::Sender<bool>,
    reload: mpsc::Sender<()>,
    status: Arc<Status>,
    recorder: Recorder,
    writer: Writer,
    logs: logs::Sink,
    /// How long others are given to see that it takes nothing new on, and then requests to be done.
    wait: Duration,
    grace: Duration,
    streams: Arc<Streams>,
}

impl Loaded {
    /// Loads the settings in a file.
    pub(super) fn load(file: &Path, overrides: Overrides) -> anyhow::Result<Self> {
        let file = std::path::absolute(file)?;
        let mut watch = Watch::start(vec![file.clone()]);
        let mut settings = reload::load(&file, &mut watch)?;
        overrides.apply(&mut settings);
        Ok(Self {
            settings,
            overrides,
            watch,
        })
    }
}

impl Process {
    /// Loads and opens everything, and binds; nothing is served yet.
    pub(crate) fn start(file: &Path, overrides: Overrides) -> anyhow::Result<Self> {
        limits::raise_descriptors();
        let loaded = Loaded::load(file, overrides)?;
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
        } = loaded;
        let sockets = Sockets::bind(&settings)?;
        let fixed = Fixed::of(&settings);
        let public_url = pools::public_url(&mut settings, &overrides, &sockets.bound)?;
        let shared = Shared::open(&settings, &runtimes, signals.as_mut())?;
        let dropped = shared.metrics.records_dropped.clone();
        let (recorder, writer) = Recorder::start(&settings.log.decisions, dropped)
            .context("decision records cannot be written")?;
        runtimes.background.spawn(shared.review());
        let file = settings.file.clone();
        let limits = &settings.limits;
        let (connections, requests) = limits::shares(limits, &shared.metrics, &shared.current);
        Ok(Self {
            connections,
            gateway: shared.gateway(limits, recorder, requests),
            views: shared.views(),
            reloader: shared.reloader(file, overrides, watch, fixed, sockets.certificates),
            runtimes,
            bound: sockets.bound,
            head: Duration::from_secs(limits.header_seconds.into()),
            admin: sockets.admin,
            public_url,
            logs,
            writer,
            settings,
            signals,
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
        let signals = self.signals.take().context("signals are not listened to")?;
        self.serve().until(signals);
        Ok(())
    }

    /// Begins to serve.
    pub(super) fn serve(self) -> Running {
        let (shutdown, down) = watch::channel(false);
        let (reload, asked) = mpsc::channel(1);
        let status = self.reloader.status.clone();
        let recorder = self.gateway.recorder.clone();
        let streams = self.gateway.streams.clone();
        let background = &self.runtimes.background;
        if let Some((socket, address)) = self.admin {
            background.spawn(serve_admin(socket, address, self.views));
        }
        background.spawn(self.reloader.run(asked));
        let served = http::serve(
            self.gateway,
            self.bound,
            self.connections,
            self.settings.limits,
            self.head,
            down,
        );
        Running {
            served: self.runtimes.gate.spawn(served),
            runtimes: self.runtimes,
            shutdown,
            reload,
            status,
            recorder,
            writer: self.writer,
            logs: self.logs,
            wait: Duration::from_secs(self.settings.limits.drain_wait_seconds.into()),
            grace: Duration::from_secs(self.settings.limits.drain_seconds.into()),
            streams,
        }
    }
}

impl Running {
    /// Does what signals ask for, until one asks for the end.
    fn until(self, mut signals: Signals) {
        let stop = loop {
            match self.runtimes.background.block_on(signals.next()) {
                Asked::Reload => self.reload(),
                Asked::Reopen => self.reopen(),
                stop => break stop,
            }
        };
        tracing::info!(how = ?stop, "Shutting down");
        let (wait, grace) = match stop {
            Asked::Drain => (self.wait, self.grace),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        // A reload or a rotation of logs that is asked for meanwhile must not cut requests off.
        self.stop(wait, grace, async move { signals.end().await });
    }

    /// Asks for the settings to be read again.
    pub(super) fn reload(&self) {
        // A full channel has asked already.
        let _ = self.reload.try_send(());
    }

    fn reopen(&self) {
        self.recorder.reopen();
        match self.logs.reopen() {
            Ok(()) => tracing::info!("Log files reopened"),
            Err(error) => tracing::error!(%error, "Log file cannot be reopened"),
        }
    }

    /// Says that others should be asked, takes nothing new on after `wait`, and ends when all is done, when `grace` has
    /// passed, or when somebody is impatient.
    pub(super) fn stop(
        self,
        wait: Duration,
        grace: Duration,
        impatience: impl Future<Output = ()>,
    ) {
        self.status.drain();
        let finish = async {
            tokio::time::sleep(wait).await;
            self.shutdown.send_replace(true);
            // Of themselves some would never end.
            self.streams.close(Closing::Endless);
            let mut served = self.served;
            if timeout(grace, &mut served).await.is_ok() {
                return true;
            }
            self.streams.close(Closing::All);
            timeout(grace.min(FAREWELL), served).await.is_ok()
        };
        let finished = self.runtimes.background.block_on(async {
            tokio::select! {
                finished = finish => finished,
                () = impatience => false,
            }
        });
        if !finished && !grace.is_zero() {
            tracing::warn!("Requests were cut off");
        }
        self.runtimes.stop();
        drop(self.recorder);
        self.writer.finish();
    }
}

/// For streams that the end of the grace finds open, to be closed in their own way.
const FAREWELL: Duration = Duration::from_secs(1);

async fn serve_admin(socket: TcpListener, address: SocketAddr, views: Views) {
    if let Err(error) = admin::serve(socket, views).await {
        tracing::error!(%address, %error, "Admin listener failed");
    }
}

#[cfg(test)]
mod tests;
