//! Where a test's store is, and the tables in it.

use anyhow::{Context, Result};
use store::{Db, Migration, args};
use testkit::{PostgresCluster, SqliteFile};

/// A fresh store on one of the databases.
pub(crate) struct Place {
    pub(crate) url: String,
    /// Keeps the file while the test runs.
    pub(crate) file: Option<SqliteFile>,
}

impl Place {
    pub(crate) fn sqlite() -> Result<Self> {
        let file = SqliteFile::new()?;
        Ok(Self {
            url: file.url(),
            file: Some(file),
        })
    }

    pub(crate) fn postgres() -> Result<Self> {
        Ok(Self {
            url: PostgresCluster::shared()?.database()?,
            file: None,
        })
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.file.is_none()
    }

    pub(crate) async fn open(&self) -> Result<Db> {
        Ok(Db::open(&self.url, MIGRATIONS).await?)
    }
}

/// Runs each test once on SQLite and once on PostgreSQL.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::place::Place::sqlite()?).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::place::Place::postgres()?).await
            })*
        }
    };
}
pub(crate) use on_both;

/// How many people there are.
pub(crate) async fn people(db: &Db) -> Result<i64> {
    let row = db
        .row("SELECT COUNT(*) AS people FROM people", args![])
        .await?;
    Ok(row.context("no count")?.int("people")?)
}

/// Adds a person with nothing but a name.
pub(crate) async fn add(db: &Db, name: &str) -> store::Result<u64> {
    db.write_with(name.to_owned(), |tx, name| {
        Box::pin(tx.execute(ADD, args![name]))
    })
    .await
}

pub(crate) const ADD: &str = "INSERT INTO people (name) VALUES ($1)";

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "people",
        sql: "-- who there is; by name
            CREATE TABLE people (name TEXT PRIMARY KEY, email TEXT, age BIGINT, pool TEXT, UNIQUE (pool, email));
            CREATE TABLE counters (name TEXT PRIMARY KEY, n BIGINT NOT NULL);",
    },
    Migration {
        version: 2,
        name: "note",
        sql: "ALTER TABLE people ADD COLUMN note TEXT;
            INSERT INTO counters (name, n) VALUES ('a', 0), ('b;c', 0);",
    },
];
