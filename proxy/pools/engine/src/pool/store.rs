//! Rows of pools.

use store::{Db, Row, Tx, args};

use super::{Document, Pool, Summary};
use crate::{Error, Result, page};

pub(super) async fn find(db: &Db, id: &str) -> Result<Option<Pool>> {
    db.row(FIND, args![id])
        .await?
        .as_ref()
        .map(parse)
        .transpose()
}

pub(super) async fn read(tx: &mut Tx, id: &str) -> Result<Option<Pool>> {
    tx.row(FIND, args![id])
        .await?
        .as_ref()
        .map(parse)
        .transpose()
}

pub(super) async fn insert(tx: &mut Tx, pool: &Pool) -> Result<()> {
    if insert_if_absent(tx, pool).await? {
        Ok(())
    } else {
        Err(Error::Crypto("drawing an unused pool id"))
    }
}

pub(super) async fn insert_if_absent(tx: &mut Tx, pool: &Pool) -> Result<bool> {
    let settings = settings(pool)?;
    Ok(tx
        .execute(
            INSERT,
            args![
                pool.id,
                pool.name,
                settings,
                pool.created_ms,
                pool.modified_ms
            ],
        )
        .await?
        == 1)
}

pub(super) async fn update(tx: &mut Tx, pool: &Pool) -> Result<()> {
    let settings = settings(pool)?;
    tx.execute(
        UPDATE,
        args![pool.id, pool.name, settings, pool.modified_ms],
    )
    .await?;
    Ok(())
}

pub(super) async fn delete(tx: &mut Tx, id: &str) -> Result<()> {
    // Clients, signing keys, users and what else references the pool go with it.
    tx.execute("DELETE FROM pools WHERE id = $1", args![id])
        .await?;
    Ok(())
}

pub(super) async fn list(db: &Db, after: &str, limit: usize) -> Result<Vec<Summary>> {
    let rows = db.rows(LIST, args![after, page::one_more(limit)]).await?;
    rows.iter()
        .map(parse)
        .map(|pool| pool.map(Summary::from))
        .collect()
}

pub(super) async fn count_users(db: &Db, id: &str) -> Result<i64> {
    let row = db
        .row(
            "SELECT COUNT(*) AS users FROM users WHERE pool_id = $1",
            args![id],
        )
        .await?;
    Ok(row.map_or(Ok(0), |row| row.int("users"))?)
}

impl From<Pool> for Summary {
    fn from(pool: Pool) -> Self {
        let triggers = pool
            .document
            .get("LambdaConfig")
            .cloned()
            .unwrap_or_default();
        Self {
            id: pool.id,
            name: pool.name,
            triggers,
            created_ms: pool.created_ms,
            modified_ms: pool.modified_ms,
        }
    }
}

fn parse(row: &Row) -> Result<Pool> {
    let document: Document = serde_json::from_str(&row.text("settings")?)
        .map_err(|source| Error::corrupt("pool", source))?;
    Pool::build(
        row.text("id")?,
        row.text("name")?,
        document,
        row.int("created_ms")?,
        row.int("modified_ms")?,
    )
}

fn settings(pool: &Pool) -> Result<String> {
    serde_json::to_string(&pool.document).map_err(|source| Error::corrupt("pool", source))
}

const FIND: &str = "SELECT * FROM pools WHERE id = $1";
const INSERT: &str =
    "INSERT INTO pools (id, name, settings, created_ms, modified_ms) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO NOTHING";
const UPDATE: &str = "UPDATE pools SET name = $2, settings = $3, modified_ms = $4 WHERE id = $1";
const LIST: &str = "SELECT * FROM pools WHERE id > $1 ORDER BY id LIMIT $2";
