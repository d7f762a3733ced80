//! Rows of users.

use std::collections::BTreeMap;

use store::{Row, Tx, Value, args};

use super::name::{Alias, canonical, is_sub};
use super::{Lifetime, Password, Status, User, history};
use crate::credential::Prepared;
use crate::pool::Pool;
use crate::{Engine, Error, Result};

/// The user a caller names, by username, by an alias of the pool, or by `sub`: one statement in a transaction.
pub async fn find(tx: &mut Tx, pool: &Pool, given: &str) -> Result<Option<User>> {
    let Some((sql, args)) = query(pool, given) else {
        return Ok(None);
    };
    tx.row(sql, args).await?.as_ref().map(read).transpose()
}

/// Like [`find`], by itself.
pub async fn load(engine: &Engine, pool: &Pool, given: &str) -> Result<Option<User>> {
    let Some((sql, args)) = query(pool, given) else {
        return Ok(None);
    };
    engine
        .db()
        .row(sql, args)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// The statement that finds the user a caller names, with its arguments: the pool's id, then what is looked for. `None`
/// for a name that nobody can have.
pub(crate) fn query(pool: &Pool, given: &str) -> Option<(&'static str, Vec<Value>)> {
    if given.contains('\0') {
        // PostgreSQL takes no text with NUL.
        return None;
    }
    let key = canonical(given, pool.case());
    Some(match Alias::of(pool, given) {
        Some(alias) if alias.is_address() => (BY_ALIAS, args![pool.id(), key, alias.as_str()]),
        Some(alias) => (BY_ANY, args![pool.id(), key, given, alias.as_str()]),
        None if is_sub(given) => (BY_NAME_OR_SUB, args![pool.id(), key, given]),
        None => (BY_NAME, args![pool.id(), key]),
    })
}

/// The statement that finds the user with that `sub`, likewise.
pub(crate) fn query_sub(pool_id: &str, sub: &str) -> (&'static str, Vec<Value>) {
    (BY_SUB, args![pool_id, sub])
}

/// The user with that `sub`.
pub async fn by_sub(tx: &mut Tx, pool_id: &str, sub: &str) -> Result<Option<User>> {
    tx.row(BY_SUB, args![pool_id, sub])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Like [`by_sub`], by itself.
pub async fn load_by_sub(engine: &Engine, pool_id: &str, sub: &str) -> Result<Option<User>> {
    engine
        .db()
        .row(BY_SUB, args![pool_id, sub])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Gives the user a new password and the status that goes with it; the old one goes into the history.
pub async fn set_password(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    user: &User,
    password: &Prepared,
    lifetime: Lifetime,
) -> Result<()> {
    let (status, expires_ms) = match lifetime {
        Lifetime::Permanent => (Status::Confirmed, None),
        Lifetime::Temporary(until_ms) => (Status::ForceChangePassword, Some(until_ms)),
    };
    let args = args![
        user.pool_id,
        user.sub,
        password.hash,
        password.salt,
        password.verifier,
        engine.now_ms(),
        expires_ms,
        history::with_current(engine, pool, user)?,
        status.as_str()
    ];
    changed(tx.execute(SET_PASSWORD, args).await?)
}

/// Puts another hash of the same password in the place of the one that was seen, if it is still there.
pub(crate) async fn renew_hash(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    seen: &str,
    fresh: &str,
) -> Result<()> {
    tx.execute(RENEW_HASH, args![pool_id, sub, seen, fresh])
        .await?;
    Ok(())
}

/// Moves the user to another status.
pub async fn set_status(tx: &mut Tx, user: &User, status: Status, now_ms: i64) -> Result<()> {
    changed(
        tx.execute(
            SET_STATUS,
            args![user.pool_id, user.sub, status.as_str(), now_ms],
        )
        .await?,
    )
}

/// Lets the user sign in, or not.
pub(super) async fn set_enabled(
    tx: &mut Tx,
    user: &User,
    enabled: bool,
    now_ms: i64,
) -> Result<()> {
    changed(
        tx.execute(SET_ENABLED, args![user.pool_id, user.sub, enabled, now_ms])
            .await?,
    )
}

/// Writes the attributes, and the keys they are searched by.
pub(super) async fn set_attributes(
    tx: &mut Tx,
    pool: &Pool,
    user: &User,
    now_ms: i64,
) -> Result<()> {
    let keys = Keys::of(pool, &user.attributes);
    let args = args![
        user.pool_id,
        user.sub,
        json(&user.attributes),
        now_ms,
        keys.email,
        keys.phone_number,
        keys.name,
        keys.given_name,
        keys.family_name,
        keys.preferred_username
    ];
    changed(tx.execute(SET_ATTRIBUTES, args).await?)
}

/// Adds a user; `false` if the username is taken.
pub(super) async fn insert(tx: &mut Tx, pool: &Pool, user: &User) -> Result<bool> {
    let keys = Keys::of(pool, &user.attributes);
    let password = user.password.as_ref();
    let args = args![
        user.pool_id,
        user.sub,
        user.username,
        canonical(&user.username, pool.case()),
        user.status.as_str(),
        user.enabled,
        user.created_ms,
        user.modified_ms,
        json(&user.attributes),
        keys.email,
        keys.phone_number,
        keys.name,
        keys.given_name,
        keys.family_name,
        keys.preferred_username,
        password.map(|password| &password.hash),
        password.map(|password| &password.srp_salt),
        password.map(|password| &password.srp_verifier),
        password.map(|password| password.changed_ms),
        password.and_then(|password| password.expires_ms)
    ];
    Ok(tx.execute(INSERT, args).await? == 1)
}

/// Takes a user away, with all that belongs to it.
pub(super) async fn delete(tx: &mut Tx, user: &User) -> Result<()> {
    changed(tx.execute(DELETE, args![user.pool_id, user.sub]).await?)
}

/// A user of a row that has the columns of `SELECT *`.
pub(crate) fn read(row: &Row) -> Result<User> {
    let status = row.text("status")?;
    Ok(User {
        pool_id: row.text("pool_id")?,
        sub: row.text("sub")?,
        username: row.text("username")?,
        status: Status::named(&status).ok_or_else(|| Error::corrupt("users.status", status))?,
        enabled: row.flag("enabled")?,
        attributes: serde_json::from_str(&row.text("attributes")?)
            .map_err(|source| Error::corrupt("users.attributes", source))?,
        created_ms: row.int("created_ms")?,
        modified_ms: row.int("modified_ms")?,
        password: read_password(row)?,
    })
}

fn read_password(row: &Row) -> Result<Option<Password>> {
    let Some(hash) = row.opt_text("password_hash")? else {
        return Ok(None);
    };
    Ok(Some(Password {
        hash,
        srp_salt: row.text("srp_salt")?,
        srp_verifier: row.text("srp_verifier")?,
        changed_ms: row.int("password_ms")?,
        expires_ms: row.opt_int("password_expires_ms")?,
        history: row.opt_text("password_history")?,
    }))
}

/// What stands in the search columns.
struct Keys {
    email: Option<String>,
    phone_number: Option<String>,
    name: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
    preferred_username: Option<String>,
}

impl Keys {
    fn of(pool: &Pool, attributes: &BTreeMap<String, String>) -> Self {
        let exact = |name: &str| attributes.get(name).map(|value| search_key(value));
        let folded = |name: &str| {
            attributes
                .get(name)
                .map(|value| search_key(&canonical(value, pool.case())))
        };
        Self {
            email: folded("email"),
            phone_number: exact("phone_number"),
            name: exact("name"),
            given_name: exact("given_name"),
            family_name: exact("family_name"),
            preferred_username: folded("preferred_username"),
        }
    }
}

/// One character more than any filter has: a longer value is found by its prefixes, and never equals a filter's.
fn search_key(value: &str) -> String {
    value.chars().take(super::filter::MAX_LENGTH + 1).collect()
}

fn json(attributes: &BTreeMap<String, String>) -> String {
    let map = attributes
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()));
    serde_json::Value::Object(map.collect()).to_string()
}

/// A user that is gone when it is to be changed was deleted between two transactions.
fn changed(rows: u64) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(Error::user_not_found())
    }
}

const BY_SUB: &str = "SELECT * FROM users WHERE pool_id = $1 AND sub = $2";

const BY_NAME: &str = "SELECT * FROM users WHERE pool_id = $1 AND username_key = $2";

const BY_NAME_OR_SUB: &str =
    "SELECT 0 AS place, users.* FROM users WHERE pool_id = $1 AND username_key = $2
    UNION ALL SELECT 1, users.* FROM users WHERE pool_id = $1 AND sub = $3
    ORDER BY place LIMIT 1";

const BY_ALIAS: &str = "SELECT users.* FROM aliases
    JOIN users ON users.pool_id = aliases.pool_id AND users.sub = aliases.sub
    WHERE aliases.pool_id = $1 AND aliases.value = $2 AND aliases.kind = $3";

const BY_ANY: &str =
    "SELECT 0 AS place, users.* FROM users WHERE pool_id = $1 AND username_key = $2
    UNION ALL SELECT 1, users.* FROM users WHERE pool_id = $1 AND sub = $3
    UNION ALL SELECT 2, users.* FROM aliases
        JOIN users ON users.pool_id = aliases.pool_id AND users.sub = aliases.sub
        WHERE aliases.pool_id = $1 AND aliases.value = $2 AND aliases.kind = $4
    ORDER BY place LIMIT 1";

const SET_PASSWORD: &str = "UPDATE users SET password_hash = $3, srp_salt = $4, srp_verifier = $5, password_ms = $6,
    password_expires_ms = $7, password_history = $8, status = $9, modified_ms = $6 WHERE pool_id = $1 AND sub = $2";

const RENEW_HASH: &str =
    "UPDATE users SET password_hash = $4 WHERE pool_id = $1 AND sub = $2 AND password_hash = $3";

const SET_STATUS: &str =
    "UPDATE users SET status = $3, modified_ms = $4 WHERE pool_id = $1 AND sub = $2";

const SET_ENABLED: &str =
    "UPDATE users SET enabled = $3, modified_ms = $4 WHERE pool_id = $1 AND sub = $2";

const SET_ATTRIBUTES: &str = "UPDATE users SET attributes = $3, modified_ms = $4, email = $5, phone_number = $6,
    name = $7, given_name = $8, family_name = $9, preferred_username = $10 WHERE pool_id = $1 AND sub = $2";

const INSERT: &str = "INSERT INTO users (pool_id, sub, username, username_key, status, enabled, created_ms, modified_ms,
    attributes, email, phone_number, name, given_name, family_name, preferred_username,
    password_hash, srp_salt, srp_verifier, password_ms, password_expires_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
    ON CONFLICT DO NOTHING";

const DELETE: &str = "DELETE FROM users WHERE pool_id = $1 AND sub = $2";
