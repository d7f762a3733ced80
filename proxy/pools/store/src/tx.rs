//! A transaction: statements run on one connection, one after another.

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::error::{Error, Result};
use crate::row::Row;
use crate::value::{Sql, Value};
use crate::{postgres, sqlite};

/// An open transaction of [`Db::write`](crate::Db::write) or [`Db::read`](crate::Db::read).
///
/// After a statement failed, the others fail with [`Error::Aborted`] and nothing is committed, on both databases:
/// PostgreSQL knows no other way, and work must not behave differently on SQLite.
#[derive(Debug)]
pub struct Tx {
    connection: Connection,
    failed: Option<Failure>,
}

/// Where the statements go.
#[derive(Debug)]
enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(PoolConnection<Postgres>),
}

/// How a statement of this transaction failed, as far as the driver needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another transaction was in the way: run it all again.
    Conflict,
    /// The connection is not to be used again.
    Connection,
    /// Anything else.
    Other,
}

impl Tx {
    pub(crate) fn sqlite(connection: rusqlite::Connection) -> Self {
        Self::new(Connection::Sqlite(connection))
    }

    pub(crate) fn postgres(connection: PoolConnection<Postgres>) -> Self {
        Self::new(Connection::Postgres(connection))
    }

    fn new(connection: Connection) -> Self {
        Self {
            connection,
            failed: None,
        }
    }

    /// Runs a statement and returns how many rows it changed.
    pub async fn execute(&mut self, sql: impl Into<Sql> + Send, args: Vec<Value>) -> Result<u64> {
        self.check()?;
        let sql = sql.into();
        let end = match &mut self.connection {
            Connection::Sqlite(conn) => sqlite::execute(conn, &sql, &args),
            Connection::Postgres(conn) => postgres::execute(conn, sql, args).await,
        };
        self.note(end)
    }

    /// Runs a statement and returns all of its rows.
    pub async fn rows(&mut self, sql: impl Into<Sql> + Send, args: Vec<Value>) -> Result<Vec<Row>> {
        self.check()?;
        let sql = sql.into();
        let end = match &mut self.connection {
            Connection::Sqlite(conn) => sqlite::rows(conn, &sql, &args),
            Connection::Postgres(conn) => postgres::rows(conn, sql, args).await,
        };
        self.note(end)
    }

    /// Runs a statement and returns its first row, if there is one.
    pub async fn row(
        &mut self,
        sql: impl Into<Sql> + Send,
        args: Vec<Value>,
    ) -> Result<Option<Row>> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// The database's clock in epoch milliseconds, which all nodes share.
    pub async fn now_ms(&mut self) -> Result<i64> {
        let sql = match self.connection {
            Connection::Postgres(_) => postgres::NOW_MS,
            Connection::Sqlite(_) => sqlite::NOW_MS,
        };
        self.row(sql, Vec::new())
            .await?
            .ok_or(Error::Closed)?
            .int("now_ms")
    }

    pub(crate) fn failed(&self) -> Option<Failure> {
        self.failed
    }

    pub(crate) fn begin_again(&mut self) {
        self.failed = None;
    }

    pub(crate) fn as_sqlite(&self) -> Option<&rusqlite::Connection> {
        match &self.connection {
            Connection::Sqlite(connection) => Some(connection),
            Connection::Postgres(_) => None,
        }
    }

    pub(crate) fn into_sqlite(self) -> Option<rusqlite::Connection> {
        match self.connection {
            Connection::Sqlite(connection) => Some(connection),
            Connection::Postgres(_) => None,
        }
    }

    pub(crate) fn as_postgres(&mut self) -> Option<&mut PoolConnection<Postgres>> {
        match &mut self.connection {
            Connection::Postgres(connection) => Some(connection),
            Connection::Sqlite(_) => None,
        }
    }

    fn check(&self) -> Result<()> {
        if self.failed.is_some() {
            Err(Error::Aborted)
        } else {
            Ok(())
        }
    }

    fn note<T>(&mut self, end: Result<T>) -> Result<T> {
        if let Err(error) = &end {
            self.failed = Some(match error {
                Error::Conflict { .. } => Failure::Conflict,
                Error::Connection { .. } | Error::Closed => Failure::Connection,
                _ => Failure::Other,
            });
        }
        end
    }
}
