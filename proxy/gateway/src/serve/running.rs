//! A process that serves: what signals ask of it, and its end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    runtimes::Runtimes,
    signals::{Asked, Signals},
    upgrade::{Handed, Origin, Successor},
};
use crate::{
    gateway::{
        Closing, Streams,
        record::{Recorders, Writers},
    },
    listen::Intake,
    logs,
    reload::Asks,
    status::Status,
    traces::Exporter,
};

/// A gate that serves.
pub(super) struct Running {
    pub(super) runtimes: Runtimes,
    pub(super) served: JoinHandle<()>,
    pub(super) admin: Option<JoinHandle<()>>,
    /// What listens, for whoever takes this process's place.
    pub(super) sockets: Vec<Handed>,
    pub(super) intake: watch::Sender<Intake>,
    pub(super) asks: Asks,
    pub(super) status: Arc<Status>,
    pub(super) recorders: Recorders,
    pub(super) writers: Writers,
    pub(super) exporter: Exporter,
    pub(super) logs: logs::Sink,
    /// How long others are given to see that it takes nothing new on, and then requests to be done.
    pub(super) wait: Duration,
    pub(super) grace: Duration,
    pub(super) streams: Arc<Streams>,
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

impl Running {
    /// Does what signals ask for, until one asks for the end, or another process has taken this one's place.
    pub(super) fn until(self, mut signals: Signals, origin: &Origin) {
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
        self.asks.tell();
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

/// For streams that the end of the grace finds open, to be closed in their own way, and for spans that wait then.
const FAREWELL: Duration = Duration::from_secs(1);
