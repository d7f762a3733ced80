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
    time::{Instant, timeout},
};

use super::{
    Overrides, Sockets, http, limits, pools,
    runtimes::Runtimes,
    signals::{Asked, Signals},
    upgrade::{Handed, Inherited, Listens, Origin, Successor},
};
use crate::{
    admin::{self, Views},
    gateway::{
        Closing, Gateway, Streams,
        record::{Recorders, Writers},
    },
    listen::{Bound, Connections, Intake},
    logs,
    reload::{self, Fixed, Reloader, Watch},
    status::Status,
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

/// A gate that serves.
pub(crate) struct Running {
    runtimes: Runtimes,
    served: JoinHandle<()>,
    admin: Option<JoinHandle<()>>,
    /// What listens, for whoever takes this process's place.
    sockets: Vec<Handed>,
    intake: watch::Sender<Intake>,
    reload: mpsc::Sender<()>,
    status: Arc<Status>,
    recorders: Recorders,
    writers: Writers,
    exporter: Exporter,
    logs: logs::Sink,
    /// How long others are given to see that it takes nothing new on, and then requests to be done.
    wait: Duration,
    grace: Duration,
    streams: Arc<Streams>,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Once others have seen that it does, and what is under way is done.
    Drain,
    /// At once.
    Stop,
    /// Once what is under way is done; another process takes new callers on.
    HandOver,
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
        let (recorders, writers) = Recorders::start(&settings.log, &shared.metrics.lost)?;
        runtimes.background.spawn(shared.review());
        let file = settings.file.clone();
        let limits = &settings.limits;
        let (connections, requests) = limits::shares(limits, &shared.metrics, &shared.current);
        Ok(Self {
            connections,
            exporter: shared.export(&runtimes),
            gateway: shared.gateway(limits, recorders, requests),
            views: shared.views(),
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
        let (reload, asked) = mpsc::channel(1);
        let status = self.reloader.status.clone();
        let recorders = self.gateway.recorders.clone();
        let streams = self.gateway.streams.clone();
        let background = &self.runtimes.background;
        let admin = self
            .admin
            .map(|(socket, address)| background.spawn(serve_admin(socket, address, self.views)));
        background.spawn(self.reloader.run(asked));
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
            reload,
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

impl Running {
    /// Does what signals ask for, until one asks for the end, or another process has taken this one's place.
    fn until(self, mut signals: Signals, origin: &Origin) {
        let mut successor = None;
        let end = loop {
            let asked = self.runtimes.background.block_on(async {
                tokio::select! {
                    asked = signals.next() => Some(asked),
                    () = is_ready(&mut successor) => None,
                }
            });
            match asked {
                None => break End::HandOver,
                Some(Asked::Drain) => break End::Drain,
                Some(Asked::Stop) => break End::Stop,
                Some(Asked::Reload) => self.reload(),
                Some(Asked::Reopen) => self.reopen(),
                Some(Asked::Upgrade) if successor.is_some() => {
                    tracing::warn!("An upgrade is under way already");
                }
                Some(Asked::Upgrade) => successor = self.upgrade(origin),
            }
        };
        tracing::info!(how = ?end, "Shutting down");
        // Ended, if it is not ready.
        drop(successor);
        // A reload or a rotation of logs that is asked for meanwhile must not cut requests off.
        self.stop(end, async move {
            signals.end().await;
        });
    }

    /// Starts the process that is to take this one's place.
    fn upgrade(&self, origin: &Origin) -> Option<Successor> {
        match origin.start(&self.sockets) {
            Ok(successor) => {
                tracing::info!(pid = successor.pid(), "Upgrading");
                Some(successor)
            }
            Err(error) => {
                tell_failed(&error);
                None
            }
        }
    }

    /// Asks for the settings to be read again.
    pub(super) fn reload(&self) {
        // A full channel has asked already.
        let _ = self.reload.try_send(());
    }

    fn reopen(&self) {
        self.recorders.reopen();
        match self.logs.reopen() {
            Ok(()) => tracing::info!("Log files reopened"),
            Err(error) => tracing::error!(%error, "Log file cannot be reopened"),
        }
    }

    /// Takes nothing new on, and ends when all is done, when the grace has passed, or when somebody is impatient.
    pub(super) fn stop(self, end: End, impatience: impl Future<Output = ()>) {
        let grace = match end {
            End::Drain | End::HandOver => self.grace,
            End::Stop => Duration::ZERO,
        };
        let farewell = grace.min(FAREWELL);
        // Its own would take callers on whom nobody answers.
        drop(self.sockets);
        let mut served = self.served;
        let finish = async {
            match end {
                End::HandOver => {
                    self.status.hand_over();
                    self.admin.iter().for_each(JoinHandle::abort);
                    self.intake.send_replace(Intake::Handed);
                }
                End::Drain | End::Stop => {
                    // Others are to see it before it is so.
                    self.status.drain();
                    let wait = if end == End::Drain { self.wait } else { grace };
                    tokio::time::sleep(wait).await;
                    self.intake.send_replace(Intake::Closed);
                    // Of themselves some would never end.
                    self.streams.close(Closing::Endless);
                }
            }
            let end = Instant::now() + grace;
            let mut finished = timeout(grace, &mut served).await.is_ok();
            if !finished {
                self.intake.send_replace(Intake::Closed);
                self.streams.close(Closing::All);
                finished = timeout(farewell, served).await.is_ok();
            }
            let left = end.saturating_duration_since(Instant::now());
            self.exporter.finish(left.max(farewell)).await;
            finished
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
        drop(self.recorders);
        self.writers.finish();
    }
}

/// Ends when a process is there to take this one's place; never, where there is none or it fails.
async fn is_ready(successor: &mut Option<Successor>) {
    if let Some(next) = successor {
        match next.ready().await {
            Ok(()) => return,
            Err(error) => {
                tell_failed(&error);
                *successor = None;
            }
        }
    }
    std::future::pending::<()>().await;
}

fn tell_failed(error: &anyhow::Error) {
    tracing::error!(
        error = format!("{error:#}"),
        "The upgrade failed; this process stays"
    );
}

/// For what a successor lacks at first; then it serves as it is.
const SETTLED: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(10);
/// For streams that the end of the grace finds open, to be closed in their own way, and for spans that wait then.
const FAREWELL: Duration = Duration::from_secs(1);

async fn serve_admin(socket: TcpListener, address: SocketAddr, views: Views) {
    if let Err(error) = admin::serve(socket, views).await {
        tracing::error!(%address, %error, "Admin listener failed");
    }
}

#[cfg(test)]
mod tests;
