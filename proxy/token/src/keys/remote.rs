//! Key sets of remote issuers: found by discovery or at a given URL, refreshed in the background, kept through outages.

pub(crate) mod fetch;
mod last_good;
mod refresh;
mod source;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};

pub use fetch::FetchError;
pub(crate) use refresh::reason;
pub use source::{FetchLimits, Source};

use super::{BoxFuture, KeySet, Keys};
use fetch::Fetcher;
use last_good::LastGood;

/// The keys of a remote issuer. Refreshed until this is dropped.
#[derive(Debug)]
pub struct RemoteKeys {
    source: Source,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How an issuer's key set stands; holds nothing secret.
#[derive(Debug, Clone)]
pub struct KeySetStatus {
    /// The issuer's name in the settings.
    pub issuer: Arc<str>,
    /// Usable keys; 0 before the first load.
    pub keys: usize,
    /// Since when the set is known to be right; `None` before the first load.
    pub age: Option<Duration>,
    /// When it is fetched next; zero while that happens.
    pub next_refresh: Duration,
    /// Why the latest fetch failed; `None` when it succeeded.
    pub last_error: Option<String>,
    /// Why the set is not on disk for the next start; `None` when it is.
    pub kept_error: Option<String>,
    /// Fetches that succeeded.
    pub succeeded: u64,
    /// Fetches that failed.
    pub failed: u64,
}

impl RemoteKeys {
    /// Starts to fetch on `runtime` and waits for nothing. Until that succeeds the set is the one of `previous`, if that one
    /// fetched the same keys on another way, or the last good one on disk.
    ///
    /// Fails where the URLs can never be fetched safely: HTTPS is required, except to a loopback address.
    pub fn start(
        source: Source,
        previous: Option<&Self>,
        runtime: &Handle,
    ) -> Result<Self, FetchError> {
        let fetcher = Fetcher::new(&source)?;
        let last_good = source.dir.as_deref().map(|dir| LastGood::new(dir, &source));
        let shared = Arc::new(Shared::new(Arc::clone(&source.name), source.limits));
        let is_seeded = previous.is_some_and(|previous| {
            previous.source.publishes_as(&source) && shared.seed(&previous.shared)
        });
        if let (Some(last_good), false) = (&last_good, is_seeded) {
            shared.load(last_good);
        }
        let task = runtime.spawn(refresh::run(Arc::clone(&shared), fetcher, last_good));
        Ok(Self {
            source,
            shared,
            task,
        })
    }

    /// Where they come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How the set stands.
    pub fn status(&self) -> KeySetStatus {
        let state = self.shared.state();
        let now = Instant::now();
        KeySetStatus {
            issuer: Arc::clone(&self.shared.name),
            keys: self.shared.keys.load().keys().len(),
            age: state
                .good
                .map(|(at, age)| age + now.saturating_duration_since(at)),
            next_refresh: state.next.saturating_duration_since(now),
            last_error: state.last_error.clone(),
            kept_error: state.kept_error.clone(),
            succeeded: state.succeeded,
            failed: state.failed,
        }
    }

    /// Waits until a fetch ends, well or not; for tests and for commands that want the outcome.
    pub async fn fetched(&self) {
        let mut finished = self.shared.finished.subscribe();
        // Fails only when the sender is gone, which `shared` keeps.
        let _ = finished.wait_for(|count| *count > 0).await;
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keys for RemoteKeys {
    fn current(&self) -> Arc<KeySet> {
        self.shared.keys.load_full()
    }

    fn generation(&self) -> u64 {
        self.shared.keys.load().generation()
    }

    fn fetch_unknown<'a>(&'a self, kid: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>> {
        Box::pin(async move {
            let is_there = kid.is_some() && self.shared.keys.load().has(kid);
            if !is_there && let Some(mut finished) = self.shared.ask() {
                // The fetch bounds itself; this bound is for a runtime that is shutting down.
                let _ =
                    tokio::time::timeout(self.shared.limits.timeout * 3, finished.changed()).await;
            }
            self.current()
        })
    }
}

/// What the handle and the refreshing task have in common.
#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    limits: FetchLimits,
    keys: ArcSwap<KeySet>,
    state: Mutex<State>,
    /// Wakes the task for a fetch out of turn.
    wanted: Notify,
    /// Fetches that have ended.
    finished: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    fetching: bool,
    asked_at: Option<Instant>,
    /// When the set was put in force, and how old it was then: the clock may not reach back to when it was fetched.
    good: Option<(Instant, Duration)>,
    next: Instant,
    last_error: Option<String>,
    kept_error: Option<String>,
    succeeded: u64,
    failed: u64,
    /// The `keys` of the document in force, to tell whether a fetched one differs.
    document: Option<serde_json::Value>,
}

impl Shared {
    fn new(name: Arc<str>, limits: FetchLimits) -> Self {
        let state = State {
            // The task begins with a fetch.
            fetching: true,
            asked_at: None,
            good: None,
            next: Instant::now(),
            last_error: None,
            kept_error: None,
            succeeded: 0,
            failed: 0,
            document: None,
        };
        Self {
            name,
            limits,
            keys: ArcSwap::from_pointee(KeySet::never_loaded()),
            state: Mutex::new(state),
            wanted: Notify::new(),
            finished: watch::Sender::new(0),
        }
    }

    /// Asks for a fetch out of turn. `None` where one was made for the same reason too short a time ago.
    ///
    /// Whoever asks while a fetch is under way waits for that one.
    fn ask(&self) -> Option<watch::Receiver<u64>> {
        let mut state = self.state();
        let now = Instant::now();
        if !state.fetching {
            let is_early =
                |at: Instant| now.saturating_duration_since(at) < self.limits.unknown_key;
            if state.asked_at.is_some_and(is_early) {
                return None;
            }
            state.asked_at = Some(now);
            state.fetching = true;
            self.wanted.notify_one();
        }
        // Subscribed under the lock that `finish` takes, so that its end cannot be missed.
        Some(self.finished.subscribe())
    }

    /// Puts another's set in force; whether it had one.
    fn seed(&self, other: &Self) -> bool {
        // Not under both locks.
        let (good, document) = {
            let state = other.state();
            (state.good, state.document.clone())
        };
        let mut state = self.state();
        (state.good, state.document) = (good, document);
        self.keys.store(other.keys.load_full());
        good.is_some()
    }

    /// Puts the set on disk in force, if there is one.
    fn load(&self, last_good: &LastGood) {
        match last_good.load() {
            Ok(None) => {}
            Ok(Some(kept)) => self.install(kept.keys, kept.age),
            Err(why) => {
                tracing::warn!(issuer = %self.name, why, "The last good key set cannot be used");
                self.state().kept_error = Some(why);
            }
        }
    }

    /// Puts a set in force that was known to be right `age` ago; its generation is new only if its keys are.
    fn install(&self, fetched: fetch::Fetched, age: Duration) {
        let mut state = self.state();
        state.good = Some((Instant::now(), age));
        if state.document.as_ref() == Some(&fetched.document) {
            return;
        }
        state.document = Some(fetched.document);
        let generation = self.keys.load().generation() + 1;
        self.keys
            .store(Arc::new(KeySet::new(generation, fetched.keys)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
