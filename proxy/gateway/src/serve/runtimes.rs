//! The runtimes of a process, so that none waits for another's work.

use std::{
    num::{NonZero, NonZeroU8},
    thread::available_parallelism,
    time::Duration,
};

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
    /// Starts them, with so many threads that serve requests.
    pub(super) fn start(workers: Option<NonZeroU8>) -> std::io::Result<Self> {
        let processors = available_parallelism().map_or(2, NonZero::get);
        let workers = workers.map_or(processors, |workers| workers.get().into());
        Ok(Self {
            gate: runtime("gate", workers)?,
            engine: runtime("engine", processors)?,
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
