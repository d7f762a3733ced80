//! Signals: what the process is asked to do from outside.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM: take nothing new on, finish what is under way.
    Drain,
    /// SIGINT: end at once.
    Stop,
    /// SIGHUP: read the settings and policies again.
    Reload,
    /// SIGUSR1: open the log files again.
    Reopen,
    /// SIGQUIT: start the binary anew, and leave when it serves.
    Upgrade,
}

/// The signals that are listened to.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    usr1: Signal,
    quit: Signal,
}

impl Signals {
    /// Listens from now on; must be called on a runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits for one that asks for the end; the others wait for [`Signals::next`].
    pub(super) async fn end(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Drain,
            _ = self.int.recv() => Asked::Stop,
        }
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Drain,
            _ = self.int.recv() => Asked::Stop,
            _ = self.hup.recv() => Asked::Reload,
            _ = self.usr1.recv() => Asked::Reopen,
            _ = self.quit.recv() => Asked::Upgrade,
        }
    }
}
