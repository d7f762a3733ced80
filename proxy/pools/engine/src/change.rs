//! How processes that share a store learn of each other's changes: a table, polled.
//!
//! No notification of the database's is used, since not all that speak PostgreSQL's protocol have one. Rows commit in
//! another order than their times tell, so each poll looks back over what it has seen before and leaves out the rows
//! it knows.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use store::{Row, Tx, args};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::revocation::{Kind, Revocation};
use crate::{Engine, Inner, Result};

/// What another process must forget or learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A pool's settings changed, or it is gone.
    Pool(String),
    /// A client's settings changed, or it is gone.
    Client(String),
    /// A pool's signing keys changed.
    Keys(String),
    /// Tokens were revoked.
    Revoked(Revocation),
}

impl Change {
    /// Tells the others, with the transaction that makes the change.
    pub(crate) async fn announce(self, tx: &mut Tx) -> Result<()> {
        let at_ms = tx.now_ms().await?;
        self.announce_at(tx, at_ms).await
    }

    /// Likewise, where the database was asked for its time in this transaction already.
    pub(crate) async fn announce_at(self, tx: &mut Tx, at_ms: i64) -> Result<()> {
        // Only tells rows apart, and no rule depends on it, so it need not come from the engine's generator.
        let id = uuid::Uuid::new_v4().to_string();
        let (kind, pool_id, subject, not_before_ms, expires_ms) = self.columns();
        tx.execute(
            INSERT,
            args![id, at_ms, kind, pool_id, subject, not_before_ms, expires_ms],
        )
        .await?;
        Ok(())
    }

    fn columns(&self) -> (&str, &str, &str, i64, i64) {
        match self {
            Self::Pool(id) => ("pool", id, "", 0, 0),
            Self::Client(id) => ("client", "", id, 0, 0),
            Self::Keys(pool_id) => ("keys", pool_id, "", 0, 0),
            Self::Revoked(one) => (
                one.kind.as_change(),
                &one.pool_id,
                &one.subject,
                one.not_before_ms,
                one.expires_ms,
            ),
        }
    }

    /// `None` for kinds of a newer version, which an older process has nothing to do with.
    fn read(row: &Row) -> Result<Option<Self>> {
        let (kind, pool_id, subject) = (
            row.text("kind")?,
            row.text("pool_id")?,
            row.text("subject")?,
        );
        Ok(match kind.as_str() {
            "pool" => Some(Self::Pool(pool_id)),
            "client" => Some(Self::Client(subject)),
            "keys" => Some(Self::Keys(pool_id)),
            other => match Kind::of_change(other) {
                Some(kind) => Some(Self::Revoked(Revocation {
                    kind,
                    pool_id,
                    subject,
                    not_before_ms: row.int("not_before_ms")?,
                    expires_ms: row.int("expires_ms")?,
                })),
                None => None,
            },
        })
    }
}

/// What a poll remembers for the next.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// The database's time of the last poll.
    polled_ms: i64,
    /// Ids of rows within the overlap.
    seen: HashSet<String>,
}

impl Feed {
    /// Reads what is new, and takes it in.
    pub(crate) async fn poll(&mut self, engine: &Engine) -> Result<()> {
        let started = Instant::now();
        engine
            .db()
            .check_place()
            .inspect_err(|error| engine.set_trouble(Some(error)))?;
        engine.set_trouble(None);
        let since_ms = self.polled_ms - OVERLAP_MS;
        let (now_ms, rows) = engine
            .db()
            .read_with(since_ms, |tx, since_ms| {
                Box::pin(async move {
                    let now_ms = tx.now_ms().await?;
                    Ok::<_, crate::Error>((now_ms, tx.rows(SINCE, args![*since_ms]).await?))
                })
            })
            .await?;
        let mut seen = HashSet::with_capacity(rows.len());
        let mut new = Vec::new();
        for row in &rows {
            let id = row.text("id")?;
            if !self.seen.contains(&id) {
                new.extend(Change::read(row)?);
            }
            seen.insert(id);
        }
        // Revocations come first: whatever another change asks of the store must not hold them up.
        new.sort_by_key(|change| !matches!(change, Change::Revoked(_)));
        for change in new {
            engine.learn(change).await?;
        }
        if self.missed_rows(now_ms) {
            relearn(engine).await?;
        }
        // Only now: a poll that failed half way is repeated whole.
        (self.polled_ms, self.seen) = (now_ms, seen);
        engine.0.polled_ms.store(now_ms, Ordering::Relaxed);
        engine.revoked().fed(started);
        Ok(())
    }

    /// Whether rows may have come and gone since the last poll.
    ///
    /// One overlap is what the poll looks back, the other the time a prune may have been under way.
    fn missed_rows(&self, now_ms: i64) -> bool {
        self.polled_ms != 0 && now_ms - self.polled_ms > KEPT_MS - 2 * OVERLAP_MS
    }

    /// Starts with everything that is in force now.
    pub(crate) async fn begin(engine: &Engine) -> Result<Self> {
        let mut feed = Self::default();
        // The poll comes first: what is revoked between the two is in both, never in neither.
        feed.poll(engine).await?;
        engine
            .revoked()
            .load(engine.db(), engine.db().now_ms().await?)
            .await?;
        Ok(feed)
    }
}

/// Learns what the lost rows of the feed told, from the tables that they told of.
async fn relearn(engine: &Engine) -> Result<()> {
    tracing::warn!("The change feed was out of reach for long: everything is read anew");
    engine
        .revoked()
        .load(engine.db(), engine.db().now_ms().await?)
        .await?;
    engine.0.pools.forget_where(|_| true);
    engine.0.clients.forget_where(|_| true);
    engine.rings().reload_all(engine).await
}

/// The background work of an engine; it ends with its owner.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Vec<AbortHandle>>);

impl Tasks {
    /// Polls until the engine is dropped.
    pub(crate) fn follow(&self, engine: &Engine, mut feed: Feed) {
        let weak = std::sync::Arc::downgrade(&engine.0);
        self.own(&tokio::spawn(async move {
            let mut ticks = tokio::time::interval(POLL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failing = false;
            loop {
                ticks.tick().await;
                let Some(engine) = upgrade(&weak) else { return };
                let polled = feed.poll(&engine).await;
                match &polled {
                    Ok(()) if failing => tracing::info!("The change feed is readable again"),
                    Err(error) if !failing => {
                        tracing::warn!(%error, "The change feed cannot be read");
                    }
                    _ => {}
                }
                failing = polled.is_err();
            }
        }));
    }

    /// Prunes, rotates and seals again, until the engine is dropped.
    pub(crate) fn maintain(&self, engine: &Engine) {
        let weak = std::sync::Arc::downgrade(&engine.0);
        self.own(&tokio::spawn(async move {
            let mut ticks = tokio::time::interval(MAINTENANCE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(engine) = upgrade(&weak) else { return };
                if let Err(error) = engine.maintain().await {
                    tracing::warn!(%error, "Maintenance of the pools' store failed and will be tried again");
                }
            }
        }));
    }

    /// Ends it before.
    #[cfg(test)]
    fn stop(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(AbortHandle::abort);
    }

    fn own(&self, task: &tokio::task::JoinHandle<()>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(task.abort_handle());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

/// Removes rows that every process has read long ago.
pub(crate) async fn prune(engine: &Engine) -> Result<()> {
    engine
        .db()
        .write_with((), |tx, ()| {
            Box::pin(async move {
                let now_ms = tx.now_ms().await?;
                tx.execute(
                    "DELETE FROM changes WHERE at_ms < $1",
                    args![now_ms - KEPT_MS],
                )
                .await?;
                Ok(())
            })
        })
        .await
}

fn upgrade(weak: &Weak<Inner>) -> Option<Engine> {
    weak.upgrade().map(Engine)
}

const POLL: Duration = Duration::from_millis(500);
const MAINTENANCE: Duration = Duration::from_mins(1);
/// Longer than any write transaction lives: a row may be committed that much later than its time says.
const OVERLAP_MS: i64 = 10_000;
/// A process that is behind for longer reads everything anew.
const KEPT_MS: i64 = 600_000;

const INSERT: &str =
    "INSERT INTO changes (id, at_ms, kind, pool_id, subject, not_before_ms, expires_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const SINCE: &str = "SELECT * FROM changes WHERE at_ms >= $1 ORDER BY at_ms";

#[cfg(test)]
mod tests;
