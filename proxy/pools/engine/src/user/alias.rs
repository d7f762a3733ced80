//! What users sign in with besides the username: who holds which address or name.

use store::{Tx, args};

use super::name::{Alias, canonical};
use super::{Status, User, store as rows, verified_flag};
use crate::pool::Pool;
use crate::{Error, Result};

/// What happens to an alias that another user holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It stays there: the call is refused.
    Refuse,
    /// It moves to the user; the other keeps the address, unproved.
    Move,
}

impl Alias {
    /// The kind of alias a caller means by `given`, if the pool has such; `None` leaves it to be a username or `sub`.
    pub(crate) fn of(pool: &Pool, given: &str) -> Option<Self> {
        let mut kinds = Self::ALL
            .into_iter()
            .filter(|&kind| kind.is_username(pool) || pool.has_alias(kind.as_str()));
        kinds.find(|kind| kind.fits(given))
    }

    /// Whether this kind of address is the username in the pool.
    pub(crate) fn is_username(self, pool: &Pool) -> bool {
        pool.username_attributes()
            .iter()
            .any(|name| name == self.as_str())
    }
}

/// Makes the user's aliases what the attributes entitle the user to.
pub(super) async fn sync(
    tx: &mut Tx,
    pool: &Pool,
    user: &User,
    taken: Taken,
    now_ms: i64,
) -> Result<()> {
    if pool.username_attributes().is_empty() && pool.alias_attributes().is_empty() {
        return Ok(());
    }
    let held = tx.rows(HELD, args![user.pool_id, user.sub]).await?;
    for kind in Alias::ALL {
        let wanted = entitled(pool, user, kind);
        let mut has = None;
        for row in &held {
            if row.text("kind")? == kind.as_str() {
                has = Some(row.text("value")?);
            }
        }
        if has == wanted {
            continue;
        }
        if has.is_some() {
            tx.execute(RELEASE, args![user.pool_id, user.sub, kind.as_str()])
                .await?;
        }
        if let Some(value) = wanted {
            claim(tx, pool, user, kind, &value, taken, now_ms).await?;
        }
    }
    Ok(())
}

/// Whether another user signs in with `key`, so that it can be nobody's username.
pub(super) async fn is_preferred_username(tx: &mut Tx, pool: &Pool, key: &str) -> Result<bool> {
    let kind = Alias::PreferredUsername;
    if !pool.has_alias(kind.as_str()) {
        return Ok(false);
    }
    Ok(tx
        .row(HOLDER, args![pool.id(), kind.as_str(), key])
        .await?
        .is_some())
}

/// The alias of that kind the user may sign in with by now, in its canonical form.
fn entitled(pool: &Pool, user: &User, kind: Alias) -> Option<String> {
    let value = user.attribute(kind.as_str())?;
    let entitled = if kind.is_username(pool) {
        // It is the username: proved or not, it is nobody else's.
        true
    } else if !pool.has_alias(kind.as_str()) {
        false
    } else if kind.is_address() {
        user.is_verified(kind.as_str())
    } else {
        user.status != Status::Unconfirmed
    };
    entitled.then(|| canonical(value, pool.case()).into_owned())
}

async fn claim(
    tx: &mut Tx,
    pool: &Pool,
    user: &User,
    kind: Alias,
    value: &str,
    taken: Taken,
    now_ms: i64,
) -> Result<()> {
    let args = || args![user.pool_id, kind.as_str(), value, user.sub];
    if kind == Alias::PreferredUsername
        && tx
            .row(NAMESAKE, args![user.pool_id, value, user.sub])
            .await?
            .is_some()
    {
        return Err(Error::alias_exists(kind.as_str()));
    }
    if tx.execute(CLAIM, args()).await? == 1 {
        return Ok(());
    }
    if taken == Taken::Refuse || !kind.is_address() {
        return Err(Error::alias_exists(kind.as_str()));
    }
    dispossess(tx, pool, kind, value, now_ms).await?;
    tx.execute(CLAIM, args()).await?;
    Ok(())
}

/// Takes an address away from whoever holds it. The address is proved to be another's, so the flag goes too.
async fn dispossess(tx: &mut Tx, pool: &Pool, kind: Alias, value: &str, now_ms: i64) -> Result<()> {
    let Some(row) = tx
        .row(HOLDER, args![pool.id(), kind.as_str(), value])
        .await?
    else {
        return Ok(());
    };
    let sub = row.text("sub")?;
    tx.execute(RELEASE, args![pool.id(), sub, kind.as_str()])
        .await?;
    if let Some(mut holder) = rows::by_sub(tx, pool.id(), &sub).await? {
        holder
            .attributes
            .insert(verified_flag(kind.as_str()).into(), "false".into());
        rows::set_attributes(tx, pool, &holder, now_ms).await?;
    }
    Ok(())
}

const HELD: &str = "SELECT kind, value FROM aliases WHERE pool_id = $1 AND sub = $2";

const HOLDER: &str = "SELECT sub FROM aliases WHERE pool_id = $1 AND kind = $2 AND value = $3";

const NAMESAKE: &str =
    "SELECT sub FROM users WHERE pool_id = $1 AND username_key = $2 AND sub <> $3";

const CLAIM: &str = "INSERT INTO aliases (pool_id, kind, value, sub) VALUES ($1, $2, $3, $4)
    ON CONFLICT (pool_id, kind, value) DO NOTHING";

const RELEASE: &str = "DELETE FROM aliases WHERE pool_id = $1 AND sub = $2 AND kind = $3";
