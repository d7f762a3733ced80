//! The task that sends batches of spans: one at a time, again where that may help, and not for ever.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{Outlet, destination::Destination, queue::Batch};

/// Sends what is put into an outlet, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Exporter {
    outlet: Outlet,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts to send.
    pub(crate) fn start(outlet: Outlet, runtime: &Handle) -> Self {
        let task = runtime.spawn(run(outlet.clone()));
        Self { outlet, task }
    }

    /// Sends what is left, once and within this time.
    pub(crate) async fn finish(mut self, within: Duration) {
        self.outlet.queue.close();
        if timeout(within, &mut self.task).await.is_err() {
            let lost = self.outlet.queue.len();
            tracing::warn!(lost, "Spans are left unsent");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(outlet: Outlet) {
    let mut to = outlet.to.subscribe();
    while let Some(batch) = outlet.queue.take().await {
        deliver(&outlet, &mut to, &batch).await;
    }
}

/// Sends one batch, or counts it as lost.
async fn deliver(
    outlet: &Outlet,
    to: &mut watch::Receiver<Option<Arc<Destination>>>,
    batch: &Batch,
) {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let destination = to.borrow_and_update().clone();
        let Some(destination) = destination else {
            return outlet.lost(batch.spans);
        };
        let unsent = match destination.post(batch).await {
            Ok(rejected) => return outlet.sent(batch.spans, rejected),
            Err(unsent) => unsent,
        };
        outlet.failed(&unsent.why);
        let asked = unsent.after.unwrap_or_default().min(LONGEST_ASKED);
        let wait = pause.max(asked);
        let is_over = begun.elapsed() + wait > PATIENCE;
        if !unsent.again || is_over || outlet.queue.is_closing() {
            return outlet.lost(batch.spans);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = sleep(wait) => {}
            // Another collector, or the same under other terms.
            _ = to.changed() => {}
            () = outlet.queue.closing() => {}
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Of the time for which a collector asks to be left alone.
const LONGEST_ASKED: Duration = Duration::from_secs(30);
/// For how long a batch is tried: what comes after it waits, and is newer.
const PATIENCE: Duration = Duration::from_mins(1);
