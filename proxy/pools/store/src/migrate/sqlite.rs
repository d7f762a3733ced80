//! Migrations on SQLite, where `BEGIN IMMEDIATE` keeps other processes out.

use sqlx::{Row, SqliteConnection};

use super::{APPLIED, Applied, Migration, Migrator, RECORD, TABLE, named};
use crate::error::{Error, Result};
use crate::sqlite::NOW_MS;

/// Applies what lacks, one transaction each; what another process applied meanwhile is seen before each.
pub(super) async fn run(migrator: &Migrator<'_>, connection: &mut SqliteConnection) -> Result<()> {
    loop {
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
        let step = step(migrator, connection).await;
        let end = if step.is_ok() { "COMMIT" } else { "ROLLBACK" };
        sqlx::raw_sql(end).execute(&mut *connection).await?;
        if !step? {
            return Ok(());
        }
    }
}

/// Applies the next migration; `false` if there was none.
async fn step(migrator: &Migrator<'_>, connection: &mut SqliteConnection) -> Result<bool> {
    sqlx::raw_sql(TABLE).execute(&mut *connection).await?;
    let Some(migration) = migrator.next(&applied(connection).await?)? else {
        return Ok(false);
    };
    apply(migration, connection)
        .await
        .map_err(|error| named(migration, error))?;
    Ok(true)
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<Applied>> {
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

async fn apply(migration: &Migration, connection: &mut SqliteConnection) -> Result<()> {
    sqlx::raw_sql(migration.sql)
        .execute(&mut *connection)
        .await?;
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
