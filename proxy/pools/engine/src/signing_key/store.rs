//! Rows of signing keys.

use std::sync::Arc;

use store::{Db, Row, Tx, args};

use super::ring::Member;
use super::{Change, Kind, Prepared, SigningKey};
use crate::{Engine, Error, Result, seal};

pub(super) async fn insert(tx: &mut Tx, pool_id: &str, key: &Prepared) -> Result<()> {
    let args = args![
        pool_id,
        key.kid,
        key.kind.as_str(),
        key.sealed,
        key.modulus,
        key.created_ms,
        key.active_ms
    ];
    tx.execute(INSERT, args).await?;
    Ok(())
}

/// Every published key of a pool, opened.
pub(super) async fn open(engine: &Engine, pool_id: &str) -> Result<Vec<Member>> {
    let rows = engine
        .db()
        .rows(
            "SELECT * FROM signing_keys WHERE pool_id = $1",
            args![pool_id],
        )
        .await?;
    rows.iter()
        .map(|row| member(engine, pool_id, row))
        .collect()
}

/// Removes keys whose successor took over before `before_ms`; returns the pools that had any.
pub(super) async fn remove_retired(db: &Db, before_ms: i64) -> Result<Vec<String>> {
    if db.rows(RETIRED, args![before_ms]).await?.is_empty() {
        return Ok(Vec::new());
    }
    db.write_with(before_ms, |tx, before_ms| {
        Box::pin(async move {
            let mut pools = Vec::new();
            for row in tx.rows(RETIRED, args![*before_ms]).await? {
                let (pool_id, kid) = (row.text("pool_id")?, row.text("kid")?);
                tx.execute(
                    "DELETE FROM signing_keys WHERE pool_id = $1 AND kid = $2",
                    args![pool_id, kid],
                )
                .await?;
                if !pools.contains(&pool_id) {
                    Change::Keys(pool_id.clone()).announce(tx).await?;
                    pools.push(pool_id);
                }
            }
            Ok(pools)
        })
    })
    .await
}

/// Pools whose newest keys are older than `before_ms`, with the time of those.
pub(super) async fn due(db: &Db, before_ms: i64) -> Result<Vec<(String, i64)>> {
    let rows = db.rows(DUE, args![before_ms]).await?;
    rows.iter()
        .map(|row| Ok((row.text("pool_id")?, row.int("newest_ms")?)))
        .collect()
}

/// When the newest keys of a pool start to sign.
pub(super) async fn newest(tx: &mut Tx, pool_id: &str) -> Result<Option<i64>> {
    let sql = "SELECT MAX(active_ms) AS newest_ms FROM signing_keys WHERE pool_id = $1";
    let row = tx.row(sql, args![pool_id]).await?;
    Ok(row
        .map(|row| row.opt_int("newest_ms"))
        .transpose()?
        .flatten())
}

fn member(engine: &Engine, pool_id: &str, row: &Row) -> Result<Member> {
    let kid = row.text("kid")?;
    let place = seal::place("signing_keys", "sealed", &[pool_id, &kid]);
    let pkcs8 = engine.sealer().open(&place, &row.text("sealed")?)?;
    Ok(Member {
        key: Arc::new(SigningKey::read(&kid, &pkcs8)?),
        kid,
        kind: Kind::named(&row.text("kind")?).ok_or(Error::Corrupt {
            what: "signing key",
            source: None,
        })?,
        active_ms: row.int("active_ms")?,
        modulus: row.text("modulus")?,
    })
}

const INSERT: &str =
    "INSERT INTO signing_keys (pool_id, kid, kind, sealed, modulus, created_ms, active_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const RETIRED: &str = "SELECT pool_id, kid FROM signing_keys WHERE EXISTS (
    SELECT 1 FROM signing_keys AS later WHERE later.pool_id = signing_keys.pool_id AND later.kind = signing_keys.kind
        AND later.active_ms > signing_keys.active_ms AND later.active_ms < $1)";
const DUE: &str = "SELECT pool_id, MAX(active_ms) AS newest_ms FROM signing_keys GROUP BY pool_id
    HAVING MAX(active_ms) <= $1";
