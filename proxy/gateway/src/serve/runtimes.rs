//! The runtimes of a process, so that none waits for another's work.

use std::{thread::available_parallelism, time::Duration};

use tokio::runtime::{Builder, Runtime};

/// Where things run.
#[derive(Debug)]
pub(crate) struct Runtimes {
    /// Requests.
    pub(super) gate: Runtime,
    /// The engine, with its store.
    pub(super) engine: Runtime,
    /// The admin listener, reloads, key sets and health checks.
    pub(super) background: Runtime,
}

impl Runtimes {
    /// Starts them.
    pub(super) fn start() -> std::io::Result<Self> {
        let threads = available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self {
            gate: runtime("gate", threads)?,
            engine: runtime("engine", threads)?,
            background: runtime("background", 1)?,
        })
    }

    /// Stops them, requests first: what they wait for must outlive them.
    pub(super) fn stop(self) {
        self.gate.shutdown_timeout(STOP);
        self.engine.shutdown_timeout(STOP);
        self.background.shutdown_background();
    }
}

fn runtime(name: &str, threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .thread_name(name)
        .worker_threads(threads)
        .enable_all()
        .build()
}

const STOP: Duration = Duration::from_millis(500);
