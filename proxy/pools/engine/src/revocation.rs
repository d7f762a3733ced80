//! Tokens that no longer count although they have not expired: written with the change that ends them, kept in memory,
//! asked on every request.
//!
//! Whether a token was made before or after a revocation is never asked of the nodes' clocks, which differ. A revocation
//! has the database's time, and a token the time after the latest revocation that its sign-in saw: whoever did not see a
//! revocation has an earlier one, even if the two ran at once.

mod feed;
mod set;

use store::{Tx, args};
use token::Standing;

pub use feed::{Feed, Told, feed};
#[cfg(test)]
pub(crate) use set::Subject;
pub(crate) use set::{Revoked, STALE};

use crate::auth::refresh;
use crate::change::Change;
use crate::{Engine, Error, Result};

/// One entry: which tokens, and made until when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "hand it to `Engine::note_revoked` after the commit, or this process goes on taking the tokens until its next poll"]
pub struct Revocation {
    pub(crate) kind: Kind,
    pub(crate) pool_id: String,
    pub(crate) subject: String,
    pub(crate) not_before_ms: i64,
    pub(crate) expires_ms: i64,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// All tokens that come from one sign-in, by `origin_jti`.
    Origin,
    /// All tokens of a user, by `sub`.
    User,
    /// All tokens of an app client.
    Client,
    /// All tokens of a pool.
    Pool,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Origin, Self::User, Self::Client, Self::Pool];

    fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::User => "user",
            Self::Client => "client",
            Self::Pool => "pool",
        }
    }

    /// Its name in the change feed.
    pub(crate) fn as_change(self) -> &'static str {
        match self {
            Self::Origin => "revoked_origin",
            Self::User => "revoked_user",
            Self::Client => "revoked_client",
            Self::Pool => "revoked_pool",
        }
    }

    /// The kind of that name in the change feed.
    pub(crate) fn of_change(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_change() == name)
    }

    /// The other kinds whose latest entry a token of this kind's may be dated after. Entries of origins hold whatever the
    /// date.
    fn others(self) -> Option<[Self; 2]> {
        match self {
            Self::Origin => None,
            Self::User => Some([Self::Client, Self::Pool]),
            Self::Client => Some([Self::User, Self::Pool]),
            Self::Pool => Some([Self::User, Self::Client]),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Revokes every token of one sign-in (`RevokeToken`), those that a refresh made included.
pub async fn revoke_origin(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    origin_jti: &str,
) -> Result<Revocation> {
    let revocation = revoke(tx, Kind::Origin, pool_id, origin_jti).await?;
    refresh::end_origin(tx, pool_id, sub, origin_jti, revocation.not_before_ms).await?;
    Ok(revocation)
}

/// Revokes every token a user has got up to now: sign-out, disabling, deletion, a changed password.
pub async fn revoke_user(tx: &mut Tx, pool_id: &str, sub: &str) -> Result<Revocation> {
    let revocation = revoke_issued(tx, pool_id, sub).await?;
    refresh::end_user(tx, pool_id, sub, revocation.not_before_ms).await?;
    Ok(revocation)
}

/// Revokes every ID and access token a user has got up to now; refresh tokens stay as they are.
pub(crate) async fn revoke_issued(tx: &mut Tx, pool_id: &str, sub: &str) -> Result<Revocation> {
    revoke(tx, Kind::User, pool_id, sub).await
}

/// Revokes every token an app client has got up to now.
pub async fn revoke_client(tx: &mut Tx, pool_id: &str, client_id: &str) -> Result<Revocation> {
    let revocation = revoke(tx, Kind::Client, pool_id, client_id).await?;
    refresh::end_client(tx, client_id, revocation.not_before_ms).await?;
    Ok(revocation)
}

/// Revokes every token a pool has given up to now.
pub async fn revoke_pool(tx: &mut Tx, pool_id: &str) -> Result<Revocation> {
    revoke(tx, Kind::Pool, pool_id, "").await
}

/// The latest revocation of a user, a client or their pool that is in the store, as an SQL expression over those of the
/// columns or parameters given; NULL where there is none. It comes with the statement that reads who signs in, so that
/// both are of one snapshot and cost one round trip.
pub(crate) fn latest_sql(pool: &str, sub: &str, client: &str) -> String {
    format!(
        "(SELECT MAX(not_before_ms) FROM revocations WHERE \
         (revocations.kind = 'user' AND revocations.pool_id = {pool} AND revocations.subject = {sub}) OR \
         (revocations.kind = 'client' AND revocations.pool_id = {pool} AND revocations.subject = {client}) OR \
         (revocations.kind = 'pool' AND revocations.pool_id = {pool} AND revocations.subject = ''))"
    )
}

/// The latest revocation, as [`latest_sql`] says, by itself.
pub(crate) async fn latest(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    client_id: &str,
) -> Result<Option<i64>> {
    let sql = format!("SELECT {} AS latest_ms", latest_sql("$1", "$2", "$3"));
    let row = tx.row(sql, args![pool_id, sub, client_id]).await?;
    latest_in(row)
}

fn latest_in(row: Option<store::Row>) -> Result<Option<i64>> {
    let latest_ms = row.map(|row| row.opt_int("latest_ms")).transpose()?;
    Ok(latest_ms.flatten())
}

/// A time of the store's that is before every revocation which whoever asks the store from now on may not see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor(i64);

impl Floor {
    /// INVARIANT: taken before the store is asked, as the process may stand still after it has the answer.
    pub(crate) fn now(engine: &Engine) -> Self {
        Self(engine.polled_ms().saturating_sub(LONGEST_WRITE_MS))
    }

    /// The time by which revocations know a token whose sign-in then saw `latest_ms` as the latest of them.
    ///
    /// INVARIANT: it is after every revocation that the sign-in saw and before every one that it did not.
    pub(crate) fn known_ms(self, latest_ms: Option<i64>) -> i64 {
        // Where none was seen it need only be after those that were pruned, which other nodes may not have forgotten yet.
        latest_ms.map_or(self.0, |latest_ms| latest_ms.saturating_add(1).max(self.0))
    }
}

async fn revoke(tx: &mut Tx, kind: Kind, pool_id: &str, subject: &str) -> Result<Revocation> {
    let now_ms = tx.now_ms().await?;
    let after_ms = latest_of_others(tx, kind, pool_id).await?;
    let not_before_ms = after_ms.map_or(now_ms, |after_ms| now_ms.max(after_ms.saturating_add(1)));
    let args = args![
        kind.as_str(),
        pool_id,
        subject,
        not_before_ms,
        not_before_ms.saturating_add(LONGEST_TOKEN_MS)
    ];
    let row = tx.row(UPSERT, args).await?.ok_or(Error::Corrupt {
        what: "revocation",
        source: None,
    })?;
    let revocation = Revocation {
        kind,
        pool_id: pool_id.to_owned(),
        subject: subject.to_owned(),
        not_before_ms: row.int("not_before_ms")?,
        expires_ms: row.int("expires_ms")?,
    };
    Change::Revoked(revocation.clone())
        .announce_at(tx, now_ms)
        .await?;
    Ok(revocation)
}

/// The latest entry of the pool's that is of another kind.
///
/// INVARIANT: of two entries that can concern the same token, the one that commits later has the later time. Both may be
/// under way at once: each reads what the other writes, so that PostgreSQL lets only one of them commit (`SERIALIZABLE`).
async fn latest_of_others(tx: &mut Tx, kind: Kind, pool_id: &str) -> Result<Option<i64>> {
    let Some([one, other]) = kind.others() else {
        return Ok(None);
    };
    let args = args![one.as_str(), other.as_str(), pool_id];
    let row = tx.row(LATEST_OF_KINDS, args).await?;
    latest_in(row)
}

/// Removes entries whose tokens have all expired.
pub(crate) async fn prune(engine: &Engine) -> Result<()> {
    let now_ms = engine.db().write(|tx| Box::pin(delete_expired(tx))).await?;
    engine.revoked().prune(now_ms);
    Ok(())
}

/// By the database's time, which it returns.
async fn delete_expired(tx: &mut Tx) -> Result<i64> {
    let now_ms = tx.now_ms().await?;
    tx.execute(
        "DELETE FROM revocations WHERE expires_ms < $1",
        args![now_ms],
    )
    .await?;
    Ok(now_ms)
}

/// The longest life of an ID or access token, and the leeway a verifier may give its clock.
pub(crate) const LONGEST_TOKEN_MS: i64 = (24 * 60 + 5) * 60 * 1000;

/// Longer than a transaction that revokes is under way, and than the database's clock may step back.
const LONGEST_WRITE_MS: i64 = 20_000;

const LATEST_OF_KINDS: &str = "SELECT MAX(not_before_ms) AS latest_ms FROM revocations
    WHERE kind IN ($1, $2) AND pool_id = $3";

/// A later one is later by the stored times, too, whatever the clock says: tokens in between have the millisecond after
/// the earlier.
const UPSERT: &str = "INSERT INTO revocations (kind, pool_id, subject, not_before_ms, expires_ms)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (kind, pool_id, subject) DO UPDATE SET
        not_before_ms = CASE WHEN excluded.not_before_ms > revocations.not_before_ms
            THEN excluded.not_before_ms ELSE revocations.not_before_ms + 1 END,
        expires_ms = CASE WHEN excluded.expires_ms > revocations.expires_ms
            THEN excluded.expires_ms ELSE revocations.expires_ms + 1 END
    RETURNING not_before_ms, expires_ms";

#[cfg(test)]
mod tests;
