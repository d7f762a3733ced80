//! The task that keeps one issuer's keys fresh.

use std::{error::Error, hash::Hasher, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Shared,
    fetch::{FetchError, Fetched, Fetcher},
    last_good::LastGood,
};

/// Fetches, waits for the next time or for somebody to ask, and again; until its owner aborts it.
pub(super) async fn run(shared: Arc<Shared>, mut fetcher: Fetcher, last_good: Option<LastGood>) {
    let mut failures = 0_u32;
    let mut due = Instant::now();
    loop {
        shared.state().fetching = true;
        let is_in_turn = Instant::now() >= due;
        let outcome = fetcher.fetch().await;
        match &outcome {
            Ok(set) => {
                failures = 0;
                if let Some(last_good) = &last_good {
                    keep(&shared, last_good, set);
                }
            }
            Err(_) => failures = failures.saturating_add(u32::from(is_in_turn)),
        }
        // INVARIANT: a fetch that was asked for out of turn and failed brings no further ones: whoever asks chooses when.
        if is_in_turn || outcome.is_ok() {
            due = Instant::now() + shared.pause(failures);
        }
        shared.finish(outcome, due);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = shared.wanted.notified() => {}
        }
    }
}

/// Keeps a set on disk, and remembers how that went: where it fails, nothing is wrong until the next start.
fn keep(shared: &Shared, last_good: &LastGood, fetched: &Fetched) {
    // A small file once in minutes: not worth a thread.
    let failed = last_good.save(&fetched.document).err();
    if let Some(error) = &failed {
        tracing::warn!(issuer = %shared.name, %error, "The key set could not be kept on disk");
    }
    let complaint = |error| last_good.complaint(&format!("cannot be written: {error}"));
    shared.state().kept_error = failed.map(complaint);
}

impl Shared {
    /// How long to wait after that many failures in a row: the refresh time, up to a tenth less so that many issuers do
    /// not fetch in step; after failures 1 s, doubled each time up to a minute.
    fn pause(&self, failures: u32) -> Duration {
        if failures == 0 {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(self.name.as_bytes());
            let jitter = u32::try_from(hasher.finish() % 100).unwrap_or(0);
            return self.limits.refresh / 1000 * (1000 - jitter);
        }
        let backoff = Duration::from_secs(1 << (failures - 1).min(6));
        backoff.min(MAX_BACKOFF).min(self.limits.refresh)
    }

    fn finish(&self, outcome: Result<Fetched, FetchError>, next: Instant) {
        let failed = outcome.as_ref().err().map(reason);
        match outcome {
            Ok(fetched) => self.install(fetched, Duration::ZERO),
            Err(error) => {
                // Formatters show an error without its causes, and those say what to mend.
                tracing::warn!(issuer = %self.name, error = reason(&error), "The issuer's keys could not be fetched");
            }
        }
        let mut state = self.state();
        if failed.is_none() {
            state.succeeded += 1;
        } else {
            state.failed += 1;
        }
        state.last_error = failed;
        state.fetching = false;
        state.next = next;
        self.finished.send_modify(|count| *count += 1);
    }
}

/// An error with what caused it, in one line.
pub(crate) fn reason(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const MAX_BACKOFF: Duration = Duration::from_mins(1);
