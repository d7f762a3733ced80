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
    let dialect = Dialect::of(connection).await?;
    prepare(dialect, connection).await?;
    let mut attempts = 1;
    loop {
        match transaction(migrator, dialect, connection).await {
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

/// What of PostgreSQL's a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// PostgreSQL itself, and YugabyteDB, which is made of it.
    Postgres,
    /// Compares text bytewise by itself, and makes no columns with `COLLATE "C"`
    /// (<https://github.com/cockroachdb/cockroach/pull/97415>).
    Cockroach,
}

impl Dialect {
    async fn of(connection: &mut PgConnection) -> Result<Self> {
        let version: String = sqlx::query_scalar("SELECT version()")
            .fetch_one(connection)
            .await?;
        Ok(Self::named(&version))
    }

    /// Of the server that calls itself so.
    fn named(version: &str) -> Self {
        if version.starts_with("CockroachDB") {
            Self::Cockroach
        } else {
            Self::Postgres
        }
    }

    /// A migration's statement, as it is said there.
    fn written(self, statement: &str) -> String {
        match self {
            Self::Postgres => bytewise(statement),
            Self::Cockroach => statement.to_owned(),
        }
    }
}

/// Makes the table and the row to lock. IF NOT EXISTS still collides when two nodes run it at once, so it is tried again.
async fn prepare(dialect: Dialect, connection: &mut PgConnection) -> Result<()> {
    let mut attempts = 1;
    loop {
        match make(dialect, connection).await {
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

async fn make(dialect: Dialect, connection: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
    let table = dialect.written(TABLE);
    let made = sqlx::raw_sql(AssertSqlSafe(format!("{table}; {LOCK_ROW}")))
        .execute(&mut *connection)
        .await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(connection).await?;
    made.map(drop).map_err(Error::from)
}

async fn transaction(
    migrator: &Migrator<'_>,
    dialect: Dialect,
    connection: &mut PgConnection,
) -> Result<bool> {
    sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
    let step = step(migrator, dialect, connection).await;
    let end = if step.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(&mut *connection).await?;
    step
}

/// Applies the next migration; `false` if there was none.
async fn step(
    migrator: &Migrator<'_>,
    dialect: Dialect,
    connection: &mut PgConnection,
) -> Result<bool> {
    sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
    let Some(migration) = migrator.next(&applied(connection).await?)? else {
        return Ok(false);
    };
    apply(migration, dialect, connection)
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

async fn apply(
    migration: &Migration,
    dialect: Dialect,
    connection: &mut PgConnection,
) -> Result<()> {
    for statement in split(migration.sql) {
        sqlx::raw_sql(AssertSqlSafe(dialect.written(statement)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compared_bytewise_in_each_dialect() {
        let made = |version: &str| Dialect::named(version).written("CREATE TABLE t (a TEXT)");
        let postgres = r#"CREATE TABLE t (a TEXT COLLATE "C")"#;
        assert_eq!(made("PostgreSQL 17.2 (Debian 17.2-1) on x86_64"), postgres);
        assert_eq!(made("PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64"), postgres);
        assert_eq!(
            made("CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15)"),
            "CREATE TABLE t (a TEXT)"
        );
    }
}
