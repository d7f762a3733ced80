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
    loop {
        shared.state().fetching = true;
        let outcome = fetcher.fetch().await;
        failures = if outcome.is_ok() {
            0
        } else {
            failures.saturating_add(1)
        };
        let next = Instant::now() + shared.pause(failures);
        if let (Ok(fetched), Some(last_good)) = (&outcome, &last_good) {
            // A small file once in minutes: not worth a thread.
            if let Err(error) = last_good.save(&fetched.document) {
                tracing::warn!(issuer = %shared.name, %error, "The key set could not be kept on disk");
            }
        }
        shared.finish(outcome, next);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = shared.wanted.notified() => {}
        }
    }
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
fn reason(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const MAX_BACKOFF: Duration = Duration::from_mins(1);
