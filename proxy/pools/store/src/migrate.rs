//! Brings a store up to the binary's version, once, whichever of several nodes comes first.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::Connection;
use sqlx::PgConnection;

use crate::error::{Error, Result};

mod collate;
mod postgres;
mod sqlite;
mod statements;

/// One step of the schema; applied steps never change.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the order; 1 or more.
    pub version: i64,
    /// What it is about, as in its file's name.
    pub name: &'static str,
    /// Its statements, one text for both databases.
    pub sql: &'static str,
}

impl Migration {
    fn checksum(&self) -> String {
        hex::encode(digest(&SHA256, self.sql.as_bytes()))
    }
}

/// A migration as the store remembers it.
struct Applied {
    version: i64,
    name: String,
    checksum: String,
}

/// The binary's migrations, known to be in order.
pub(crate) struct Migrator<'a>(&'a [Migration]);

impl<'a> Migrator<'a> {
    pub(crate) fn new(migrations: &'a [Migration]) -> Result<Self> {
        let mut last = 0;
        for migration in migrations {
            if migration.version <= last {
                return Err(Error::Order {
                    version: migration.version,
                });
            }
            last = migration.version;
        }
        Ok(Self(migrations))
    }

    pub(crate) fn sqlite(&self, connection: &Connection) -> Result<()> {
        sqlite::run(self, connection)
    }

    pub(crate) async fn postgres(&self, connection: &mut PgConnection) -> Result<()> {
        postgres::run(self, connection).await
    }

    /// The next migration that the store lacks, or why this binary must not touch the store.
    fn next(&self, applied: &[Applied]) -> Result<Option<&'a Migration>> {
        self.refuse_newer(applied)?;
        for own in applied {
            let ours = self.0.iter().find(|ours| ours.version == own.version);
            if ours.is_none_or(|ours| ours.checksum() != own.checksum) {
                let name = ours.map_or_else(|| own.name.clone(), |ours| ours.name.to_owned());
                return Err(Error::Changed {
                    version: own.version,
                    name,
                });
            }
        }
        let has = |version| applied.iter().any(|own| own.version == version);
        Ok(self.0.iter().find(|ours| !has(ours.version)))
    }

    fn refuse_newer(&self, applied: &[Applied]) -> Result<()> {
        let store = applied.iter().map(|own| own.version).max().unwrap_or(0);
        let binary = self.0.last().map_or(0, |ours| ours.version);
        if store > binary {
            Err(Error::Newer { store, binary })
        } else {
            Ok(())
        }
    }
}

/// Names the migration that failed; what is not its fault passes as it is.
fn named(migration: &Migration, error: Error) -> Error {
    match error {
        error @ (Error::Connection { .. } | Error::Conflict { .. }) => error,
        error => Error::Migration {
            version: migration.version,
            name: migration.name,
            source: Box::new(error),
        },
    }
}

/// What the store remembers of its migrations; plain enough for both databases.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_ms BIGINT NOT NULL
)";
const APPLIED: &str =
    "SELECT version, name, checksum FROM schema_migrations WHERE version > 0 ORDER BY version";
const RECORD: &str =
    "INSERT INTO schema_migrations (version, name, checksum, applied_ms) VALUES ($1, $2, $3, $4)";

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration {
        version: 1,
        name: "one",
        sql: "a",
    };
    const TWO: Migration = Migration {
        version: 2,
        name: "two",
        sql: "b",
    };

    fn applied(migration: &Migration) -> Applied {
        Applied {
            version: migration.version,
            name: migration.name.to_owned(),
            checksum: migration.checksum(),
        }
    }

    #[test]
    fn the_next_is_the_first_that_lacks() {
        let list = [ONE, TWO];
        let migrator = Migrator::new(&list).unwrap();
        assert_eq!(migrator.next(&[]).unwrap().unwrap().version, 1);
        assert_eq!(migrator.next(&[applied(&ONE)]).unwrap().unwrap().version, 2);
        assert!(
            migrator
                .next(&[applied(&ONE), applied(&TWO)])
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn newer_stores_are_refused_with_both_versions() {
        let list = [ONE];
        let error = Migrator::new(&list)
            .unwrap()
            .next(&[applied(&ONE), applied(&TWO)]);
        let error = error.unwrap_err();
        assert!(matches!(
            error,
            Error::Newer {
                store: 2,
                binary: 1
            }
        ));
        let text = error.to_string();
        assert!(
            text.contains("version 2") && text.contains("up to 1"),
            "{text}"
        );
    }

    #[test]
    fn changed_and_vanished_migrations_are_refused() {
        let list = [
            Migration {
                sql: "other",
                ..ONE
            },
            TWO,
        ];
        let changed = Migrator::new(&list).unwrap().next(&[applied(&ONE)]);
        assert!(matches!(changed, Err(Error::Changed { version: 1, .. })));
        let list = [TWO];
        let vanished = Migrator::new(&list).unwrap().next(&[applied(&ONE)]);
        assert!(matches!(vanished, Err(Error::Changed { version: 1, .. })));
    }

    #[test]
    fn the_list_must_be_in_order() {
        assert!(matches!(
            Migrator::new(&[TWO, ONE]),
            Err(Error::Order { version: 1 })
        ));
        assert!(matches!(
            Migrator::new(&[ONE, ONE]),
            Err(Error::Order { version: 1 })
        ));
    }
}
