//! Rows of codes.

use store::{Tx, args};

use crate::message::Medium;
use crate::user::User;
use crate::{Error, Result};

/// A code as stored.
pub(super) struct Code {
    pub(super) sealed: String,
    pub(super) medium: Medium,
    pub(super) value: String,
    pub(super) expires_ms: i64,
    pub(super) attempts: i64,
}

pub(super) async fn put(
    tx: &mut Tx,
    user: &User,
    purpose: &str,
    sealed: &str,
    medium: Medium,
    value: &str,
    expires_ms: i64,
) -> Result<()> {
    let args = args![
        user.pool_id,
        user.sub,
        purpose,
        sealed,
        medium.attribute(),
        value,
        expires_ms
    ];
    tx.execute(PUT, args).await?;
    Ok(())
}

pub(super) async fn find(tx: &mut Tx, user: &User, purpose: &str) -> Result<Option<Code>> {
    let Some(row) = tx.row(FIND, args![user.pool_id, user.sub, purpose]).await? else {
        return Ok(None);
    };
    let attribute = row.text("attribute")?;
    Ok(Some(Code {
        sealed: row.text("code")?,
        medium: Medium::of(&attribute)
            .ok_or_else(|| Error::corrupt("codes.attribute", attribute))?,
        value: row.text("value")?,
        expires_ms: row.int("expires_ms")?,
        attempts: row.int("attempts")?,
    }))
}

pub(super) async fn count(tx: &mut Tx, user: &User, purpose: &str) -> Result<()> {
    tx.execute(COUNT, args![user.pool_id, user.sub, purpose])
        .await?;
    Ok(())
}

pub(super) async fn delete(tx: &mut Tx, user: &User, purpose: &str) -> Result<()> {
    tx.execute(DELETE, args![user.pool_id, user.sub, purpose])
        .await?;
    Ok(())
}

const PUT: &str = "INSERT INTO codes (pool_id, sub, purpose, code, attribute, value, expires_ms, attempts)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
    ON CONFLICT (pool_id, sub, purpose) DO UPDATE SET code = excluded.code, attribute = excluded.attribute,
        value = excluded.value, expires_ms = excluded.expires_ms, attempts = 0";

const FIND: &str = "SELECT code, attribute, value, expires_ms, attempts FROM codes
    WHERE pool_id = $1 AND sub = $2 AND purpose = $3";

const COUNT: &str =
    "UPDATE codes SET attempts = attempts + 1 WHERE pool_id = $1 AND sub = $2 AND purpose = $3";

const DELETE: &str = "DELETE FROM codes WHERE pool_id = $1 AND sub = $2 AND purpose = $3";
