//! Migrations on PostgreSQL, where a row that each node locks keeps the others waiting.
//!
//! Not an advisory lock and not LOCK TABLE: CockroachDB and YugabyteDB lack one or the other.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::sleep;

use super::collate::bytewise;
use super::statements::split;
use super::{APPLIED, Applied, Migration, Migrator, RECORD, TABLE, named};
use crate::error::{Error, Result};
use crate::postgres::NOW_MS;

/// Applies what lacks, one transaction each; what another node applied meanwhile is seen before each.
pub(super) async fn run(migrator: &Migrator<'_>, connection: &mut PgConnection) -> Result<()> {
    prepare(connection).await?;
    let mut attempts = 1;
    loop {
        match transaction(migrator, connection).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Error::Conflict { .. }) if attempts < ATTEMPTS => {
                sleep(PAUSE * attempts).await;
                attempts += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Makes the table and the row to lock. IF NOT EXISTS still collides when two nodes run it at once, so it is tried again.
async fn prepare(connection: &mut PgConnection) -> Result<()> {
    let mut attempts = 1;
    loop {
        match make(connection).await {
            Err(Error::Unique(_) | Error::Conflict { .. } | Error::Statement { .. })
                if attempts < ATTEMPTS =>
            {
                sleep(PAUSE * attempts).await;
                attempts += 1;
            }
            end => return end,
        }
    }
}

async fn make(connection: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
    let table = bytewise(TABLE);
    let made = sqlx::raw_sql(AssertSqlSafe(format!("{table}; {LOCK_ROW}")))
        .execute(&mut *connection)
        .await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(connection).await?;
    made.map(drop).map_err(Error::from)
}

async fn transaction(migrator: &Migrator<'_>, connection: &mut PgConnection) -> Result<bool> {
    sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
    let step = step(migrator, connection).await;
    let end = if step.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(&mut *connection).await?;
    step
}

/// Applies the next migration; `false` if there was none.
async fn step(migrator: &Migrator<'_>, connection: &mut PgConnection) -> Result<bool> {
    sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
    let Some(migration) = migrator.next(&applied(connection).await?)? else {
        return Ok(false);
    };
    apply(migration, connection)
        .await
        .map_err(|error| named(migration, error))?;
    Ok(true)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>> {
    let rows = sqlx::query(APPLIED).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                checksum: row.try_get("checksum")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(Error::from)
}

async fn apply(migration: &Migration, connection: &mut PgConnection) -> Result<()> {
    for statement in split(migration.sql) {
        sqlx::raw_sql(AssertSqlSafe(bytewise(statement)))
            .execute(&mut *connection)
            .await?;
    }
    let now: i64 = sqlx::query_scalar(NOW_MS)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(RECORD)
        .bind(migration.version)
        .bind(migration.name)
        .bind(migration.checksum())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// READ COMMITTED: what another node committed while this one waited for the lock is seen by the next statement.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
const LOCK_ROW: &str = "INSERT INTO schema_migrations (version, name, checksum, applied_ms)
    VALUES (0, 'lock', '', 0) ON CONFLICT (version) DO NOTHING";
const LOCK: &str = "SELECT version FROM schema_migrations WHERE version = 0 FOR UPDATE";
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);
