//! Tokens that no longer count although they have not expired: written with the change that ends them, kept in memory,
//! asked on every request.

mod set;

use store::{Tx, args};
use token::Standing;

#[cfg(test)]
pub(crate) use set::Subject;
pub(crate) use set::{Revoked, STALE};

use crate::auth::refresh;
use crate::change::Change;
use crate::{Engine, Result};

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

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Revokes every token of one sign-in (`RevokeToken`), those that a refresh made included.
pub async fn revoke_origin(
    tx: &mut Tx,
    pool_id: &str,
    origin_jti: &str,
    now_ms: i64,
) -> Result<Revocation> {
    refresh::end_origin(tx, pool_id, origin_jti, now_ms).await?;
    revoke(tx, Kind::Origin, pool_id, origin_jti, now_ms).await
}

/// Revokes every token a user has got up to now: sign-out, disabling, deletion, a changed password.
pub async fn revoke_user(tx: &mut Tx, pool_id: &str, sub: &str, now_ms: i64) -> Result<Revocation> {
    refresh::end_user(tx, pool_id, sub, now_ms).await?;
    revoke_issued(tx, pool_id, sub, now_ms).await
}

/// Revokes every ID and access token a user has got up to now; refresh tokens stay as they are.
pub(crate) async fn revoke_issued(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    now_ms: i64,
) -> Result<Revocation> {
    revoke(tx, Kind::User, pool_id, sub, now_ms).await
}

/// Revokes every token an app client has got up to now.
pub async fn revoke_client(
    tx: &mut Tx,
    pool_id: &str,
    client_id: &str,
    now_ms: i64,
) -> Result<Revocation> {
    refresh::end_client(tx, client_id, now_ms).await?;
    revoke(tx, Kind::Client, pool_id, client_id, now_ms).await
}

/// Revokes every token a pool has given up to now.
pub async fn revoke_pool(tx: &mut Tx, pool_id: &str, now_ms: i64) -> Result<Revocation> {
    revoke(tx, Kind::Pool, pool_id, "", now_ms).await
}

async fn revoke(
    tx: &mut Tx,
    kind: Kind,
    pool_id: &str,
    subject: &str,
    now_ms: i64,
) -> Result<Revocation> {
    let revocation = Revocation {
        kind,
        pool_id: pool_id.to_owned(),
        subject: subject.to_owned(),
        not_before_ms: now_ms,
        expires_ms: now_ms + LONGEST_TOKEN_MS,
    };
    tx.execute(
        UPSERT,
        args![
            kind.as_str(),
            pool_id,
            subject,
            now_ms,
            revocation.expires_ms
        ],
    )
    .await?;
    Change::Revoked(revocation.clone()).announce(tx).await?;
    Ok(revocation)
}

/// Removes entries whose tokens have all expired.
pub(crate) async fn prune(engine: &Engine) -> Result<()> {
    let now_ms = engine.now_ms();
    engine.revoked().prune(now_ms);
    engine
        .db()
        .write_with(now_ms, |tx, now_ms| {
            Box::pin(async move {
                tx.execute(
                    "DELETE FROM revocations WHERE expires_ms < $1",
                    args![*now_ms],
                )
                .await?;
                Ok(())
            })
        })
        .await
}

/// The longest life of an ID or access token, and the leeway a verifier may give its clock.
const LONGEST_TOKEN_MS: i64 = (24 * 60 + 5) * 60 * 1000;

const UPSERT: &str = "INSERT INTO revocations (kind, pool_id, subject, not_before_ms, expires_ms)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (kind, pool_id, subject) DO UPDATE SET
        not_before_ms = CASE WHEN excluded.not_before_ms > revocations.not_before_ms
            THEN excluded.not_before_ms ELSE revocations.not_before_ms END,
        expires_ms = CASE WHEN excluded.expires_ms > revocations.expires_ms
            THEN excluded.expires_ms ELSE revocations.expires_ms END";

#[cfg(test)]
mod tests;
