//! A pool's revocations as gates elsewhere are told of them, who ask again and again.

use std::time::Duration;

use serde::Serialize;

use super::{LONGEST_WRITE_MS, Revocation};
use crate::Engine;

/// What this process knows of a pool's revocations.
#[derive(Debug)]
pub struct Feed {
    /// What to give as `since` the next time; a time of the database's.
    pub next_ms: i64,
    /// All that was committed longer ago than this is in here.
    pub age: Duration,
    /// Those that were made since, and some from before that may have been committed since.
    pub revocations: Vec<Told>,
}

/// One revocation, as it is told.
#[derive(Debug, Serialize)]
pub struct Told {
    kind: &'static str,
    subject: String,
    not_before_ms: i64,
    expires_ms: i64,
}

/// The revocations of a pool, all or those since `since_ms`; nothing where this process may not know of some.
pub fn feed(engine: &Engine, pool_id: &str, since_ms: Option<i64>) -> Option<Feed> {
    // INVARIANT: both are taken before the entries: what is not among those was committed later, and dated later or within
    // the time that a write takes.
    let next_ms = engine.polled_ms();
    let age = engine.revoked().age()?;
    let from_ms = since_ms.map_or(i64::MIN, |since_ms| {
        since_ms.saturating_sub(LONGEST_WRITE_MS)
    });
    let of_pool = engine.revoked().of_pool(pool_id, from_ms);
    Some(Feed {
        next_ms,
        age,
        revocations: of_pool.into_iter().map(Told::from).collect(),
    })
}

impl From<Revocation> for Told {
    fn from(revocation: Revocation) -> Self {
        Self {
            kind: revocation.kind.as_str(),
            subject: revocation.subject,
            not_before_ms: revocation.not_before_ms,
            expires_ms: revocation.expires_ms,
        }
    }
}
