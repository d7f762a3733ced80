//! Rows of refresh tokens.

use store::{Tx, args};

use crate::{Result, revocation};

/// A refresh token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) digest: String,
    pub(crate) pool_id: String,
    pub(crate) client_id: String,
    pub(crate) sub: String,
    pub(crate) origin: String,
    pub(crate) event_id: String,
    pub(crate) scope: String,
    pub(crate) auth_ms: i64,
    pub(crate) expires_ms: i64,
    pub(crate) replaced_ms: Option<i64>,
    pub(crate) revoked_ms: Option<i64>,
}

/// Stores a new token.
pub(crate) async fn insert(tx: &mut Tx, row: &Row) -> Result<()> {
    let args = args![
        row.digest,
        row.pool_id,
        row.client_id,
        row.sub,
        row.origin,
        row.event_id,
        row.scope,
        row.auth_ms,
        row.expires_ms
    ];
    tx.execute(INSERT, args).await?;
    Ok(())
}

/// The token of that digest.
pub(super) async fn find(tx: &mut Tx, digest: &str) -> Result<Option<Row>> {
    tx.row(
        "SELECT * FROM refresh_tokens WHERE digest = $1",
        args![digest],
    )
    .await?
    .as_ref()
    .map(read)
    .transpose()
}

/// The token of that digest, and the latest revocation that concerns what is made of it: one statement.
pub(super) async fn find_with_latest(
    tx: &mut Tx,
    digest: &str,
) -> Result<Option<(Row, Option<i64>)>> {
    let latest = revocation::latest_sql(
        "refresh_tokens.pool_id",
        "refresh_tokens.sub",
        "refresh_tokens.client_id",
    );
    let sql = format!(
        "SELECT refresh_tokens.*, {latest} AS latest_ms FROM refresh_tokens WHERE digest = $1"
    );
    let Some(row) = tx.row(sql, args![digest]).await? else {
        return Ok(None);
    };
    Ok(Some((read(&row)?, row.opt_int("latest_ms")?)))
}

/// Notes that the token has a successor.
pub(super) async fn replace(tx: &mut Tx, digest: &str, now_ms: i64) -> Result<()> {
    tx.execute(
        "UPDATE refresh_tokens SET replaced_ms = $2 WHERE digest = $1",
        args![digest, now_ms],
    )
    .await?;
    Ok(())
}

/// Ends the tokens of one sign-in.
pub(super) async fn revoke_origin(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    origin: &str,
    now_ms: i64,
) -> Result<()> {
    tx.execute(REVOKE_ORIGIN, args![pool_id, sub, origin, now_ms])
        .await?;
    Ok(())
}

/// Ends all tokens of a user.
pub(super) async fn revoke_user(tx: &mut Tx, pool_id: &str, sub: &str, now_ms: i64) -> Result<()> {
    tx.execute(REVOKE_USER, args![pool_id, sub, now_ms]).await?;
    Ok(())
}

/// Ends all tokens of a client.
pub(super) async fn revoke_client(tx: &mut Tx, client_id: &str, now_ms: i64) -> Result<()> {
    tx.execute(REVOKE_CLIENT, args![client_id, now_ms]).await?;
    Ok(())
}

/// The sign-ins of a user that have not ended, each with its client.
pub(super) async fn origins(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
) -> Result<Vec<(String, String)>> {
    let rows = tx.rows(ORIGINS, args![pool_id, sub]).await?;
    Ok(rows
        .iter()
        .map(|row| Ok((row.text("origin")?, row.text("client_id")?)))
        .collect::<store::Result<_>>()?)
}

/// Takes away all tokens of a user.
pub(super) async fn delete_user(tx: &mut Tx, pool_id: &str, sub: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM refresh_tokens WHERE pool_id = $1 AND sub = $2",
        args![pool_id, sub],
    )
    .await?;
    Ok(())
}

fn read(row: &store::Row) -> Result<Row> {
    Ok(Row {
        digest: row.text("digest")?,
        pool_id: row.text("pool_id")?,
        client_id: row.text("client_id")?,
        sub: row.text("sub")?,
        origin: row.text("origin")?,
        event_id: row.text("event_id")?,
        scope: row.text("scope")?,
        auth_ms: row.int("auth_ms")?,
        expires_ms: row.int("expires_ms")?,
        replaced_ms: row.opt_int("replaced_ms")?,
        revoked_ms: row.opt_int("revoked_ms")?,
    })
}

const INSERT: &str = "INSERT INTO refresh_tokens
    (digest, pool_id, client_id, sub, origin, event_id, scope, auth_ms, expires_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const ORIGINS: &str = "SELECT DISTINCT origin, client_id FROM refresh_tokens
    WHERE pool_id = $1 AND sub = $2 AND revoked_ms IS NULL";

const REVOKE_ORIGIN: &str = "UPDATE refresh_tokens SET revoked_ms = $4
    WHERE pool_id = $1 AND sub = $2 AND origin = $3 AND revoked_ms IS NULL";

const REVOKE_USER: &str = "UPDATE refresh_tokens SET revoked_ms = $3
    WHERE pool_id = $1 AND sub = $2 AND revoked_ms IS NULL";

const REVOKE_CLIENT: &str =
    "UPDATE refresh_tokens SET revoked_ms = $2 WHERE client_id = $1 AND revoked_ms IS NULL";
