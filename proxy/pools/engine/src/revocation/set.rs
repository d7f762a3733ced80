//! The revocations in force, in memory.

use std::collections::HashMap;
use std::sync::{
    PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};
use store::{Db, args};
use token::{Claims, Revocations};

use super::{Kind, Revocation, Standing};
use crate::{Error, Result};

/// Every entry that may still concern a live token, and how old this knowledge is.
#[derive(Debug)]
pub(crate) struct Revoked {
    entries: RwLock<Entries>,
    /// When the last successful poll began, in microseconds after `started`; 0 before the first.
    fed_us: AtomicU64,
    /// Counts the entries that came in.
    version: AtomicU64,
    started: Instant,
    /// Likewise, by the clock that is asked on every request.
    started_coarse: Timespec,
}

/// By pool.
type Entries = HashMap<String, OfPool>;

/// A pool's entries, by subject.
#[derive(Debug, Default)]
struct OfPool {
    origins: HashMap<String, Entry>,
    users: HashMap<String, Entry>,
    clients: HashMap<String, Entry>,
    /// The pool itself, under the empty subject.
    all: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    not_before_ms: i64,
    expires_ms: i64,
}

/// What a token says that entries are about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'t> {
    pub(crate) pool_id: &'t str,
    pub(crate) client_id: &'t str,
    pub(crate) sub: &'t str,
    pub(crate) origin_jti: Option<&'t str>,
    pub(crate) jti: Option<&'t str>,
    /// Of whole seconds.
    pub(crate) iat_ms: i64,
}

impl Subject<'_> {
    /// When the token was made, epoch milliseconds, as far as revocations are concerned.
    ///
    /// `iat` counts whole seconds, of the node's clock. Our `jti` is a UUID of version 7 (RFC 9562 section 5.7) whose time is
    /// that of the store: right after the latest revocation that the sign-in saw.
    fn issued_ms(&self) -> i64 {
        self.jti.and_then(token::jti_ms).unwrap_or(self.iat_ms)
    }
}

impl Revoked {
    pub(crate) fn new() -> Self {
        Self {
            entries: RwLock::default(),
            fed_us: AtomicU64::new(0),
            version: AtomicU64::new(0),
            started: Instant::now(),
            started_coarse: coarse(),
        }
    }

    /// Takes in an entry; one that is known only grows.
    pub(crate) fn note(&self, revocation: &Revocation) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let of_pool = entries.entry(revocation.pool_id.clone()).or_default();
        let of_kind = of_pool.of_kind(revocation.kind);
        let entry = of_kind.entry(revocation.subject.clone()).or_insert(Entry {
            not_before_ms: 0,
            expires_ms: 0,
        });
        entry.not_before_ms = entry.not_before_ms.max(revocation.not_before_ms);
        entry.expires_ms = entry.expires_ms.max(revocation.expires_ms);
        // INVARIANT: after the entry is in, so that whoever reads this number finds the entry.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Takes in everything the store has.
    pub(crate) async fn load(&self, db: &Db, now_ms: i64) -> Result<()> {
        for row in db
            .rows(
                "SELECT * FROM revocations WHERE expires_ms >= $1",
                args![now_ms],
            )
            .await?
        {
            let kind = Kind::named(&row.text("kind")?).ok_or(Error::Corrupt {
                what: "revocation",
                source: None,
            })?;
            self.note(&Revocation {
                kind,
                pool_id: row.text("pool_id")?,
                subject: row.text("subject")?,
                not_before_ms: row.int("not_before_ms")?,
                expires_ms: row.int("expires_ms")?,
            });
        }
        Ok(())
    }

    /// Forgets entries whose tokens have all expired.
    pub(crate) fn prune(&self, now_ms: i64) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, of_pool| {
            for kind in Kind::ALL {
                let of_kind = of_pool.of_kind(kind);
                of_kind.retain(|_, entry| entry.expires_ms >= now_ms);
            }
            !of_pool.is_empty()
        });
    }

    /// Notes that everything committed before `since` is known.
    pub(crate) fn fed(&self, since: Instant) {
        let since = since.saturating_duration_since(self.started).as_micros();
        self.fed_us.fetch_max(
            u64::try_from(since).unwrap_or(u64::MAX).max(1),
            Ordering::Relaxed,
        );
    }

    /// Whether the last successful poll is longer ago than `limit`.
    pub(crate) fn is_stale(&self, limit: Duration) -> bool {
        let fed = self.fed_us.load(Ordering::Relaxed);
        let elapsed = Duration::try_from(coarse() - self.started_coarse).unwrap_or(Duration::MAX);
        fed == 0 || elapsed > Duration::from_micros(fed).saturating_add(limit)
    }

    /// How long ago the last successful poll began; nothing where that is too long.
    pub(crate) fn age(&self) -> Option<Duration> {
        let fed = Some(self.fed_us.load(Ordering::Relaxed)).filter(|fed| *fed != 0)?;
        let age = self
            .started
            .elapsed()
            .saturating_sub(Duration::from_micros(fed));
        (age <= STALE).then_some(age)
    }

    /// A pool's entries that are dated `from_ms` or later.
    pub(crate) fn of_pool(&self, pool_id: &str, from_ms: i64) -> Vec<Revocation> {
        let entries = self.read();
        let Some(of_pool) = entries.get(pool_id) else {
            return Vec::new();
        };
        let of_kind = |(kind, of_kind): (Kind, &HashMap<String, Entry>)| {
            let late = of_kind
                .iter()
                .filter(|(_, entry)| entry.not_before_ms >= from_ms);
            let revocation = |(subject, entry): (&String, &Entry)| Revocation {
                kind,
                pool_id: pool_id.to_owned(),
                subject: subject.clone(),
                not_before_ms: entry.not_before_ms,
                expires_ms: entry.expires_ms,
            };
            late.map(revocation).collect::<Vec<_>>()
        };
        of_pool.kinds().into_iter().flat_map(of_kind).collect()
    }

    /// Whether one of the entries is about this token.
    pub(crate) fn is_revoked(&self, token: Subject<'_>) -> bool {
        let entries = self.read();
        let Some(of_pool) = entries.get(token.pool_id) else {
            return false;
        };
        let hit = |of_kind: &HashMap<String, Entry>, subject: &str| {
            let entry = of_kind.get(subject);
            entry.is_some_and(|entry| token.issued_ms() <= entry.not_before_ms)
        };
        // Every token of the sign-in, whenever it was made: a refresh that raced with the revocation is one, too.
        let origin = |jti| of_pool.origins.contains_key(jti);
        token.origin_jti.is_some_and(origin)
            || hit(&of_pool.users, token.sub)
            || hit(&of_pool.clients, token.client_id)
            || hit(&of_pool.all, "")
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revocations for Revoked {
    fn standing(&self, claims: &Claims) -> Standing {
        if self.is_stale(STALE) {
            return Standing::Unknown;
        }
        // The issuer's form ends in the pool's id, whichever host stands before it.
        let pool_id = claims.iss().rsplit('/').next().unwrap_or_default();
        let Some(client_id) = claims.client_id() else {
            return Standing::Revoked;
        };
        let token = Subject {
            pool_id,
            client_id,
            sub: claims.sub(),
            origin_jti: claims.origin_jti(),
            jti: claims.jti(),
            iat_ms: claims.iat().map_or(0, to_ms),
        };
        if self.is_revoked(token) {
            Standing::Revoked
        } else {
            Standing::Live
        }
    }

    fn version(&self) -> Option<u64> {
        (!self.is_stale(STALE)).then(|| self.version.load(Ordering::Acquire))
    }
}

impl OfPool {
    fn of_kind(&mut self, kind: Kind) -> &mut HashMap<String, Entry> {
        match kind {
            Kind::Origin => &mut self.origins,
            Kind::User => &mut self.users,
            Kind::Client => &mut self.clients,
            Kind::Pool => &mut self.all,
        }
    }

    fn kinds(&self) -> [(Kind, &HashMap<String, Entry>); 4] {
        [
            (Kind::Origin, &self.origins),
            (Kind::User, &self.users),
            (Kind::Client, &self.clients),
            (Kind::Pool, &self.all),
        ]
    }

    fn is_empty(&self) -> bool {
        [&self.origins, &self.users, &self.clients, &self.all]
            .iter()
            .all(|entries| entries.is_empty())
    }
}

fn to_ms(seconds: u64) -> i64 {
    i64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1000))
}

/// Beyond this a revocation may have been missed.
pub(crate) const STALE: Duration = Duration::from_secs(5);
/// The time since the machine started, as of its last tick some milliseconds ago: a fifth of the cost of asking for it
/// exactly.
fn coarse() -> Timespec {
    clock_gettime(ClockId::MonotonicCoarse)
}
