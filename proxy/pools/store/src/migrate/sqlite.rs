//! Migrations on SQLite, where `BEGIN IMMEDIATE` keeps other processes out.

use rusqlite::Connection;

use super::{APPLIED, Applied, Migration, Migrator, RECORD, TABLE, named};
use crate::args;
use crate::error::{Error, Result};
use crate::sqlite::{NOW_MS, execute, rows};

/// Applies what lacks, one transaction each; what another process applied meanwhile is seen before each.
pub(super) fn run(migrator: &Migrator<'_>, connection: &Connection) -> Result<()> {
    loop {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        match step(migrator, connection) {
            Ok(again) => {
                connection.execute_batch("COMMIT")?;
                if !again {
                    return Ok(());
                }
            }
            Err(error) => {
                // Some failures (a full disk) roll back by themselves, and then this fails; why is what matters.
                drop(connection.execute_batch("ROLLBACK"));
                return Err(error);
            }
        }
    }
}

/// Applies the next migration; `false` if there was none.
fn step(migrator: &Migrator<'_>, connection: &Connection) -> Result<bool> {
    connection.execute_batch(TABLE)?;
    let Some(migration) = migrator.next(&applied(connection)?)? else {
        return Ok(false);
    };
    apply(migration, connection).map_err(|error| named(migration, error))?;
    Ok(true)
}

fn applied(connection: &Connection) -> Result<Vec<Applied>> {
    let rows = rows(connection, &APPLIED.into(), &[])?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                version: row.int("version")?,
                name: row.text("name")?,
                checksum: row.text("checksum")?,
            })
        })
        .collect()
}

fn apply(migration: &Migration, connection: &Connection) -> Result<()> {
    connection.execute_batch(migration.sql)?;
    let clock = rows(connection, &NOW_MS.into(), &[])?;
    let now = clock.first().ok_or(Error::Closed)?.int("now_ms")?;
    let (version, name, checksum) = (migration.version, migration.name, migration.checksum());
    let record = args![version, name, checksum, now];
    execute(connection, &RECORD.into(), &record).map(drop)
}
