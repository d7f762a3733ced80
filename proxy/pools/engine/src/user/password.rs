//! `AdminSetUserPassword` and `ChangePassword`, and how temporary passwords are made.

use std::sync::Arc;

use store::Tx;
use zeroize::Zeroizing;

use super::alias::{self, Taken};
use super::allowance::{self, Action};
use super::history::check_history;
use super::{Lifetime, Password, Status, User, store as rows};
use crate::auth::refresh;
use crate::credential::{self, Prepared};
use crate::pool::Pool;
use crate::revocation::{self, Revocation};
use crate::{Engine, Error, Result, rng};

/// Gives a user a password: for good, or until the next sign-in. What was signed in before is signed out.
pub async fn admin_set_password(
    engine: &Engine,
    pool: &Arc<Pool>,
    username: &str,
    password: &str,
    permanent: bool,
) -> Result<()> {
    pool.password_policy().check(password)?;
    let user = rows::load(engine, pool, username)
        .await?
        .ok_or_else(Error::user_not_found)?;
    check_history(engine, pool, &user, password).await?;
    let prepared = credential::prepare(engine, user.owner(), password).await?;
    let now_ms = engine.now_ms();
    let lifetime = if permanent {
        Lifetime::Permanent
    } else {
        Lifetime::Temporary(expiry(pool, now_ms))
    };
    let input = (engine.clone(), Arc::clone(pool), user.sub, prepared);
    let revoked = engine
        .db()
        .write_with(input, move |tx, (engine, pool, sub, prepared)| {
            Box::pin(async move { impose(tx, engine, pool, sub, prepared, lifetime).await })
        })
        .await?;
    engine.note_revoked(&revoked);
    Ok(())
}

/// A change of password by its owner.
pub struct ChangePassword<'a> {
    /// The owner.
    pub sub: &'a str,
    /// The sign-in that asks for it, which stays; all others end.
    pub origin_jti: Option<&'a str>,
    /// The present password; a user without one has none to give.
    pub previous: Option<&'a str>,
    /// The new one.
    pub proposed: &'a str,
}

/// Changes a password on its owner's request. AWS leaves other sign-ins alive; here they end, because a password is
/// often changed for the reason that somebody else knows it.
pub async fn change_password(
    engine: &Engine,
    pool: &Arc<Pool>,
    change: ChangePassword<'_>,
) -> Result<()> {
    let user = rows::load_by_sub(engine, pool.id(), change.sub)
        .await?
        .ok_or_else(Error::user_not_found)?;
    count(engine, &user).await?;
    check_previous(engine, &user, change.previous).await?;
    pool.password_policy().check(change.proposed)?;
    check_history(engine, pool, &user, change.proposed).await?;
    let prepared = credential::prepare(engine, user.owner(), change.proposed).await?;
    let origin = change.origin_jti.map(str::to_owned);
    let input = (engine.clone(), Arc::clone(pool), user, prepared, origin);
    let revoked = engine
        .db()
        .write_with(input, |tx, (engine, pool, user, prepared, origin)| {
            Box::pin(
                async move { exchange(tx, engine, pool, user, prepared, origin.as_deref()).await },
            )
        })
        .await?;
    for one in &revoked {
        engine.note_revoked(one);
    }
    Ok(())
}

/// A temporary password that meets any policy, of characters that are told apart on paper.
pub(super) fn generate(engine: &Engine, pool: &Pool) -> Zeroizing<String> {
    let length = pool
        .password_policy()
        .minimum_length()
        .max(TEMPORARY_LENGTH);
    for _ in 0..MAX_DRAWS {
        let drawn = Zeroizing::new(rng::text(engine.rng(), ALPHABET, length));
        let has = |wanted: fn(u8) -> bool| drawn.bytes().any(wanted);
        let symbol = has(|byte| !byte.is_ascii_alphanumeric());
        if symbol
            && has(|b| b.is_ascii_uppercase())
            && has(|b| b.is_ascii_lowercase())
            && has(|b| b.is_ascii_digit())
        {
            return drawn;
        }
    }
    // Never with a generator that works: each draw has all four kinds with a chance above one half.
    Zeroizing::new(format!("Aa2-{}", rng::text(engine.rng(), ALPHABET, length)))
}

/// When a temporary password of now stops working.
pub(super) fn expiry(pool: &Pool, now_ms: i64) -> i64 {
    now_ms.saturating_add(i64::from(pool.password_policy().temporary_days()) * DAY_MS)
}

/// Counts a try before it is made, so that wrong guesses are bounded too.
async fn count(engine: &Engine, user: &User) -> Result<()> {
    let input = (user.pool_id.clone(), user.sub.clone(), engine.now_ms());
    engine
        .db()
        .write_with(input, |tx, (pool_id, sub, now_ms)| {
            Box::pin(async move {
                allowance::take(tx, pool_id, sub, Action::ChangePassword, *now_ms).await
            })
        })
        .await?
}

async fn impose(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    sub: &str,
    prepared: &Prepared,
    lifetime: Lifetime,
) -> Result<Revocation> {
    let mut user = rows::by_sub(tx, pool.id(), sub)
        .await?
        .ok_or_else(Error::user_not_found)?;
    rows::set_password(tx, engine, pool, &user, prepared, lifetime).await?;
    if user.status == Status::Unconfirmed {
        // The user is confirmed by this, and entitled to a preferred username as an alias.
        user.status = Status::Confirmed;
        alias::sync(tx, pool, &user, Taken::Refuse, engine.now_ms()).await?;
    }
    revocation::revoke_user(tx, pool.id(), sub).await
}

async fn check_previous(engine: &Engine, user: &User, previous: Option<&str>) -> Result<()> {
    let Some(present) = user.password.as_ref() else {
        return Ok(());
    };
    let previous = previous.ok_or_else(Error::incorrect_credentials)?;
    if credential::verify(engine, user.owner(), Some(&present.hash), previous).await? {
        return Ok(());
    }
    Err(Error::incorrect_credentials())
}

async fn exchange(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    seen: &User,
    prepared: &Prepared,
    origin: Option<&str>,
) -> Result<Vec<Revocation>> {
    let user = rows::by_sub(tx, pool.id(), &seen.sub)
        .await?
        .ok_or_else(Error::user_not_found)?;
    // The password that was proved must still be the one that is replaced.
    let mark = |password: &Option<Password>| password.as_ref().map(|one| one.mark().to_owned());
    if mark(&user.password) != mark(&seen.password) {
        return Err(Error::incorrect_credentials());
    }
    rows::set_password(tx, engine, pool, &user, prepared, Lifetime::Permanent).await?;
    refresh::revoke_others(tx, pool.id(), &user.sub, origin, engine.now_ms()).await
}

/// 59 characters and more than five bits each: 16 of them are 94 bits.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789!@#%*+-=_";
const TEMPORARY_LENGTH: usize = 16;
const MAX_DRAWS: usize = 64;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
