//! A store, on whichever database.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::job::{BoxFuture, job};
use crate::migrate::Migration;
use crate::observe::{Kind, Meter, Observer};
use crate::postgres::Postgres;
use crate::row::Row;
use crate::sqlite::Sqlite;
use crate::target::Target;
use crate::tx::Tx;
use crate::value::{Sql, Value};
use crate::{postgres, sqlite};

/// An open store; clones share it.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    driver: Driver,
    meter: Meter,
}

enum Driver {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Driver {
    async fn rows(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(sqlite) => sqlite.rows(sql, args).await,
            Self::Postgres(postgres) => postgres.reader().await?.rows(sql, args).await,
        }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0.driver {
            Driver::Sqlite(_) => "Db(sqlite)",
            Driver::Postgres(_) => "Db(postgres)",
        })
    }
}

impl Db {
    /// Opens `sqlite:FILE` (made if absent) or `postgres://…` and runs the migrations that it lacks.
    ///
    /// Refuses a store that a newer binary made. Must be called on the runtime that is to serve the store.
    pub async fn open(url: &str, migrations: &[Migration]) -> Result<Self> {
        let meter = Meter::default();
        let driver = match url.parse()? {
            Target::Sqlite(path) => {
                Driver::Sqlite(Sqlite::open(path, migrations, meter.clone()).await?)
            }
            Target::Postgres(options) => {
                Driver::Postgres(Postgres::open(*options, migrations, meter.clone()).await?)
            }
        };
        Ok(Self(Arc::new(Inner { driver, meter })))
    }

    /// Copies the SQLite store at `url`, as it is now, to a new file, without opening it: nothing is migrated, and other
    /// processes go on writing.
    pub async fn backup(url: &str, to: &Path) -> Result<()> {
        match url.parse()? {
            Target::Sqlite(path) => sqlite::backup(&path, to).await,
            Target::Postgres(_) => Err(Error::NotAFile),
        }
    }

    /// Tells `observer` how long each step takes; `false` if another was set before, which stays.
    pub fn observe(&self, observer: Observer) -> bool {
        self.0.meter.set(observer)
    }

    /// Runs `work` in a serialisable transaction that commits if it returns `Ok` and rolls back otherwise.
    ///
    /// It may run more than once, so it has no effect but on the transaction: no hashing, signing or sending inside.
    /// A caller that goes away does not stop it.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnMut(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (job, answer) = job(work);
        let step = async {
            match &self.0.driver {
                Driver::Sqlite(sqlite) => sqlite.write(job).await,
                Driver::Postgres(postgres) => postgres.write(job),
            }
            answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
        };
        self.0.meter.time(Kind::Write, step).await
    }

    /// Like [`Db::write`], with the input that the work needs kept beside it, so that it can be borrowed in each try.
    pub async fn write_with<I, T, E, F>(&self, input: I, work: F) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t I) -> BoxFuture<'t, Result<T, E>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let input = Arc::new(input);
        self.write(move |tx| {
            let (input, work) = (input.clone(), work.clone());
            Box::pin(async move { work(tx, &input).await })
        })
        .await
    }

    /// Runs `work` on one consistent snapshot, where it cannot write.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnMut(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (job, answer) = job(work);
        let step = async {
            match &self.0.driver {
                Driver::Sqlite(sqlite) => sqlite.read(job).await,
                Driver::Postgres(postgres) => postgres.read(job),
            }
            answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
        };
        self.0.meter.time(Kind::Read, step).await
    }

    /// Like [`Db::read`], with the input that the work needs kept beside it, so that it can be borrowed in each try.
    pub async fn read_with<I, T, E, F>(&self, input: I, work: F) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t I) -> BoxFuture<'t, Result<T, E>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let input = Arc::new(input);
        self.read(move |tx| {
            let (input, work) = (input.clone(), work.clone());
            Box::pin(async move { work(tx, &input).await })
        })
        .await
    }

    /// Runs one SELECT by itself, which is a snapshot of its own, and returns all of its rows.
    pub async fn rows(&self, sql: impl Into<Sql> + Send, args: Vec<Value>) -> Result<Vec<Row>> {
        self.0
            .meter
            .time(Kind::Read, self.0.driver.rows(sql.into(), args))
            .await
    }

    /// Runs one SELECT by itself and returns its first row, if there is one.
    pub async fn row(&self, sql: impl Into<Sql> + Send, args: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Whether [`Db::rows`] waits for nothing on threads that may block.
    pub fn reads_in_place(&self) -> bool {
        matches!(self.0.driver, Driver::Sqlite(_))
    }

    /// Refuses if a SQLite store's file is not where it was opened; writes refuse then by themselves.
    pub fn check_place(&self) -> Result<()> {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.check(),
            Driver::Postgres(_) => Ok(()),
        }
    }

    /// The database's clock in epoch milliseconds, which all nodes share.
    pub async fn now_ms(&self) -> Result<i64> {
        let sql = match self.0.driver {
            Driver::Sqlite(_) => sqlite::NOW_MS,
            Driver::Postgres(_) => postgres::NOW_MS,
        };
        let rows = self.0.driver.rows(sql.into(), Vec::new()).await?;
        rows.first().ok_or(Error::Closed)?.int("now_ms")
    }

    /// Copies a SQLite store, as it is now, to a new file while others go on writing.
    pub async fn backup_to(&self, path: &Path) -> Result<()> {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.backup_to(path).await,
            Driver::Postgres(_) => Err(Error::NotAFile),
        }
    }
}
