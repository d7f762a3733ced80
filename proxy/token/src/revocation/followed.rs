//! Revocations of a pool that another process serves: asked for again and again, answered from memory.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, header::HeaderMap};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{runtime::Handle, task::JoinHandle};
use url::Url;

use super::{
    Revocations, Standing,
    told::{Entries, Told},
};
use crate::{
    Claims, FetchError, Transport,
    keys::{fetch, reason},
};

/// Where a pool's revocations are told, and what they are good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The issuer's name in the settings.
    pub issuer: Arc<str>,
    /// `…/{poolId}/revocations`
    pub url: Url,
    /// How old they may be.
    pub max_stale: Duration,
    /// What becomes of tokens when they are older.
    pub on_stale: OnStale,
    /// The way there.
    pub transport: Transport,
}

/// What becomes of tokens while it is not known which of them were revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStale {
    /// They are answered with 503.
    #[default]
    Deny,
    /// Those pass that are not known to be revoked.
    Serve,
}

/// Signs a GET of this URL, now; nothing where that cannot be done.
pub type Sign = dyn Fn(&Url) -> Option<HeaderMap> + Send + Sync;

/// The revocations of a feed. Followed until this is dropped.
pub struct Followed {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How a feed stands; holds nothing secret.
#[derive(Debug, Clone)]
pub struct FollowedStatus {
    /// Since when revocations may be unknown; `None` before the first answer.
    pub age: Option<Duration>,
    /// Whether that is longer ago than they are good for.
    pub is_stale: bool,
    /// Revocations in force.
    pub entries: usize,
    /// Why the latest question failed; `None` when it was answered.
    pub last_error: Option<String>,
}

impl Followed {
    /// Starts to ask on `runtime` and waits for nothing; begins with what `previous` knows, if that is of the same feed.
    ///
    /// Fails where the URL can never be asked safely: HTTPS is required, except of a loopback address.
    pub fn start(
        feed: Feed,
        sign: Arc<Sign>,
        previous: Option<&Self>,
        runtime: &Handle,
    ) -> Result<Self, FetchError> {
        let is_local = fetch::is_loopback(&feed.url) && !feed.transport.is_proxied();
        fetch::check_safe(&feed.url, is_local)?;
        let client = feed
            .transport
            .client(TIMEOUT)
            .map_err(|source| fetch::no_answer(&feed.url, source))?;
        let previous = previous.filter(|previous| previous.shared.feed.url == feed.url);
        let shared = Arc::new(match previous {
            Some(previous) => previous.shared.again(feed),
            None => Shared::new(feed),
        });
        let task = runtime.spawn(follow(Arc::clone(&shared), client, sign));
        Ok(Self { shared, task })
    }

    /// What is followed.
    pub fn feed(&self) -> &Feed {
        &self.shared.feed
    }

    /// How it stands.
    pub fn status(&self) -> FollowedStatus {
        let entries = self.shared.entries.read();
        let entries = entries.unwrap_or_else(PoisonError::into_inner).len();
        let state = self.shared.state();
        FollowedStatus {
            age: state.known.map(|known| known.elapsed()),
            is_stale: self.shared.is_stale(),
            entries,
            last_error: state.last_error.clone(),
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed")
            .field("feed", &self.shared.feed)
            .finish_non_exhaustive()
    }
}

impl Revocations for Followed {
    fn standing(&self, claims: &Claims) -> Standing {
        self.shared.standing(claims)
    }

    fn version(&self) -> Option<u64> {
        let is_good = self.shared.feed.on_stale == OnStale::Serve || !self.shared.is_stale();
        is_good.then(|| self.shared.version.load(Ordering::Acquire))
    }
}

/// What the handle and the task have in common.
struct Shared {
    feed: Feed,
    entries: RwLock<Entries>,
    /// Counts the answers with something new in them.
    version: AtomicU64,
    /// Until when what is known is good, in microseconds after `started`; 0 before the first answer.
    good_until_us: AtomicU64,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// The `since` of the next question.
    next: Option<i64>,
    /// Everything committed before is known.
    known: Option<Instant>,
    last_error: Option<String>,
}

impl Shared {
    fn new(feed: Feed) -> Self {
        Self {
            feed,
            entries: RwLock::default(),
            version: AtomicU64::new(0),
            good_until_us: AtomicU64::new(0),
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// The same knowledge for a feed whose terms have changed.
    fn again(&self, feed: Feed) -> Self {
        // Before the entries: what comes in between is asked for once more.
        let state = self.state().clone();
        let entries = self.entries.read();
        let entries = entries.unwrap_or_else(PoisonError::into_inner).clone();
        let again = Self::new(feed);
        if let Some(known) = state.known {
            again.good_from(known);
        }
        Self {
            entries: RwLock::new(entries),
            state: Mutex::new(state),
            ..again
        }
    }

    fn good_from(&self, known: Instant) {
        let until = known + self.feed.max_stale;
        let until = until.saturating_duration_since(self.started).as_micros();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.good_until_us.store(until, Ordering::Relaxed);
    }

    fn is_stale(&self) -> bool {
        let until = Duration::from_micros(self.good_until_us.load(Ordering::Relaxed));
        self.started.elapsed() >= until
    }

    fn standing(&self, claims: &Claims) -> Standing {
        if self.feed.on_stale == OnStale::Deny && self.is_stale() {
            return Standing::Unknown;
        }
        let entries = self.entries.read();
        if entries.unwrap_or_else(PoisonError::into_inner).has(claims) {
            Standing::Revoked
        } else {
            Standing::Live
        }
    }

    /// Takes an answer in to a question that was put at `asked`.
    fn take_in(&self, told: Told, asked: Instant) {
        let next = told.next;
        // Who answers may have looked some time before.
        let age = Duration::from_millis(told.age_ms);
        let known = asked.checked_sub(age).unwrap_or(asked);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.take_in(told) {
            // INVARIANT: after the entries are in, so that whoever reads this number finds them.
            self.version.fetch_add(1, Ordering::Release);
        }
        drop(entries);
        self.good_from(known);
        let mut state = self.state();
        (state.next, state.known) = (Some(next), Some(known));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks, waits, and again; until its owner aborts it.
async fn follow(shared: Arc<Shared>, client: Client, sign: Arc<Sign>) {
    loop {
        let failed = ask(&shared, &client, &*sign).await.err();
        let failed = failed.map(|error| reason(&error));
        let issuer = &shared.feed.issuer;
        let before = std::mem::replace(&mut shared.state().last_error, failed.clone());
        match (&failed, &before) {
            (Some(error), None) => {
                tracing::warn!(%issuer, error, "The issuer's revocations cannot be followed");
            }
            (None, Some(_)) => {
                tracing::info!(%issuer, "The issuer's revocations are followed again");
            }
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(shared: &Shared, client: &Client, sign: &Sign) -> Result<(), FetchError> {
    let mut url = shared.feed.url.clone();
    let next = shared.state().next;
    if let Some(next) = next {
        url.set_query(Some(&format!("since={next}")));
    }
    let asked = Instant::now();
    let headers = sign(&url).ok_or_else(|| FetchError::Unsigned(fetch::shown(&url)))?;
    let body = fetch::read(client, &url, headers, LARGEST).await?;
    let told =
        serde_json::from_slice(&body).map_err(|_| FetchError::NoRevocations(fetch::shown(&url)))?;
    shared.take_in(told, asked);
    Ok(())
}

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_secs(1);
/// For a question and its answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A first answer has all of a pool's, some 150 bytes each.
const LARGEST: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Kind, fixture::*, verify};

    fn shared(on_stale: OnStale, max_stale: Duration) -> Shared {
        let url = "https://auth.test/us-east-1_Test00001/revocations";
        Shared::new(Feed {
            issuer: "staff".into(),
            url: url.parse().unwrap(),
            max_stale,
            on_stale,
            transport: Transport::default(),
        })
    }

    fn claims() -> Claims {
        let keys = key_set(1, &[rsa_jwk(&RSA, "k1")]);
        let rules = rules(Kind::Cognito, &["web"]);
        let token = sign(&header(), &access());
        verify(&token, &keys, &rules, Duration::ZERO, at(NOW)).unwrap()
    }

    fn told(age_ms: u64, subject: Option<&str>) -> Told {
        let entry = |subject| json!({"kind": "user", "subject": subject, "not_before_ms": NOW * 1000, "expires_ms": NOW * 2000});
        let revocations: Vec<_> = subject.into_iter().map(entry).collect();
        let told = json!({"next": 7, "age_ms": age_ms, "revocations": revocations});
        serde_json::from_value(told).unwrap()
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        let standing = |on_stale| shared(on_stale, HOUR).standing(&claims());
        assert_eq!(standing(OnStale::Deny), Standing::Unknown);
        assert_eq!(standing(OnStale::Serve), Standing::Live);
    }

    #[test]
    fn what_is_told_counts_at_once() {
        let shared = shared(OnStale::Deny, HOUR);
        shared.take_in(told(0, None), Instant::now());
        assert_eq!(shared.standing(&claims()), Standing::Live);
        assert_eq!(shared.version.load(Ordering::Relaxed), 0);
        for _ in 0..2 {
            shared.take_in(told(0, Some("u1")), Instant::now());
            assert_eq!(shared.standing(&claims()), Standing::Revoked);
            let version = shared.version.load(Ordering::Relaxed);
            assert_eq!(version, 1, "only what is new counts");
        }
        assert_eq!(shared.state().next, Some(7));
    }

    #[test]
    fn knowledge_grows_stale_from_when_it_was_looked_up() {
        for (on_stale, expected) in [
            (OnStale::Deny, Standing::Unknown),
            (OnStale::Serve, Standing::Revoked),
        ] {
            let shared = shared(on_stale, Duration::from_millis(1));
            shared.take_in(told(0, Some("u1")), Instant::now());
            let deadline = Instant::now() + Duration::from_secs(10);
            while !shared.is_stale() {
                assert!(Instant::now() < deadline, "it never ages");
            }
            assert_eq!(shared.standing(&claims()), expected);
        }
        let old = shared(OnStale::Deny, Duration::from_secs(5));
        old.take_in(told(5000, None), Instant::now());
        assert_eq!(old.standing(&claims()), Standing::Unknown);
    }

    #[test]
    fn changed_terms_keep_what_is_known() {
        let before = shared(OnStale::Deny, HOUR);
        before.take_in(told(0, Some("u1")), Instant::now());
        let after = before.again(Feed {
            max_stale: 2 * HOUR,
            ..before.feed.clone()
        });
        assert_eq!(after.standing(&claims()), Standing::Revoked);
        assert_eq!(after.state().next, Some(7));
    }
}
