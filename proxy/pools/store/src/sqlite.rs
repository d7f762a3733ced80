//! The embedded database: one writer, several readers, write-ahead log.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Row as _, SqliteConnection, TypeInfo, ValueRef};

use crate::error::{Error, Result};
use crate::job::Job;
use crate::migrate::{Migration, Migrator};
use crate::observe::Meter;
use crate::row::Row;
use crate::tx::{Connection, Tx, names};
use crate::value::{Sql, Value};

mod backup;
mod place;
mod writer;

use place::Place;
use writer::Writer;

/// The clock of the machine, which all processes that share the file share.
pub(crate) const NOW_MS: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms";

/// A store in one file.
pub(crate) struct Sqlite {
    path: PathBuf,
    place: Place,
    writer: Writer,
    readers: SqlitePool,
}

/// Copies the store in a file, as it is now, while others go on writing.
pub(crate) async fn backup(from: &Path, to: &Path) -> Result<()> {
    backup::copy(from, to).await
}

impl Sqlite {
    /// Opens or makes the file, brings it up to date and starts its writer.
    pub(crate) async fn open(
        path: PathBuf,
        migrations: &[Migration],
        meter: Meter,
    ) -> Result<Self> {
        make_private(&path)?;
        let options = writing(&path);
        let place = Place::of(&path)?;
        let mut connection = options.connect().await?;
        Migrator::new(migrations)?.sqlite(&mut connection).await?;
        let readers = PoolOptions::new()
            .max_connections(readers())
            .acquire_timeout(ACQUIRE)
            // A file cannot go away as a server can: asking each time costs a thread switch for nothing.
            .test_before_acquire(false)
            .connect_with(options.clone().pragma("query_only", "on"))
            .await?;
        let writer = Writer::start(connection, options, place.clone(), meter);
        Ok(Self {
            path,
            place,
            writer,
            readers,
        })
    }

    /// Refuses if the file is not where it was opened.
    pub(crate) fn check(&self) -> Result<()> {
        self.place.check()
    }

    /// Runs a job in the writer's next group.
    pub(crate) async fn write(&self, job: Box<dyn Job>) {
        self.writer.send(job).await;
    }

    /// Runs a job in a read transaction, on one snapshot.
    pub(crate) async fn read(&self, mut job: Box<dyn Job>) {
        let end = self.run_read(job.as_mut()).await;
        job.answer(end);
    }

    /// Runs one statement on a reader.
    pub(crate) async fn reader(&self) -> Result<Tx> {
        Ok(Tx::new(Connection::SqliteReader(
            self.readers.acquire().await?,
        )))
    }

    /// Makes a copy of the store as it is now, while others go on writing.
    pub(crate) async fn backup_to(&self, to: &Path) -> Result<()> {
        backup::copy(&self.path, to).await
    }

    async fn run_read(&self, job: &mut dyn Job) -> Result<()> {
        let mut tx = self.reader().await?;
        begin(&mut tx, "BEGIN DEFERRED").await?;
        let kept = job.run(&mut tx).await;
        let failed = tx.failed().is_some();
        begin(&mut tx, "ROLLBACK").await?;
        if kept && failed {
            Err(Error::Aborted)
        } else {
            Ok(())
        }
    }
}

/// Runs a statement that begins or ends a reader's transaction; if it fails the connection is not used again.
async fn begin(tx: &mut Tx, sql: &'static str) -> Result<()> {
    let Connection::SqliteReader(connection) = tx.connection() else {
        return Err(Error::Closed);
    };
    let end = control(connection, sql).await;
    if end.is_err() {
        connection.close_on_drop();
    }
    end
}

/// Runs a statement without arguments: transactions, savepoints, settings.
async fn control(connection: &mut SqliteConnection, sql: &'static str) -> Result<()> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

/// Runs a statement and counts the rows it changed.
pub(crate) async fn execute(
    conn: &mut SqliteConnection,
    sql: Sql,
    args: Vec<Value>,
) -> Result<u64> {
    Ok(bound(sql, args).execute(conn).await?.rows_affected())
}

/// Runs a statement and reads its rows.
pub(crate) async fn rows(
    conn: &mut SqliteConnection,
    sql: Sql,
    args: Vec<Value>,
) -> Result<Vec<Row>> {
    let rows = bound(sql, args).fetch_all(conn).await?;
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let names = names(first.columns());
    rows.iter()
        .map(|row| Ok(Row::new(names.clone(), values(row)?)))
        .collect()
}

fn bound(
    sql: Sql,
    args: Vec<Value>,
) -> sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    args.into_iter().fold(
        sqlx::query(AssertSqlSafe(sql.into_inner())),
        |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(int) => query.bind(int),
        },
    )
}

fn values(row: &SqliteRow) -> Result<Vec<Value>> {
    (0..row.len())
        .map(|at| {
            let raw = row.try_get_raw(at)?;
            if raw.is_null() {
                return Ok(Value::Text(None));
            }
            match raw.type_info().name() {
                "TEXT" => Ok(Value::Text(row.try_get_unchecked(at)?)),
                "INTEGER" | "BOOLEAN" => Ok(Value::Int(row.try_get_unchecked(at)?)),
                _ => Err(Error::column(
                    &at.to_string(),
                    "it is neither text nor an integer",
                )),
            }
        })
        .collect()
}

fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL syncs the log at each commit: an answered write survives power loss, not only kill -9.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .statement_cache_capacity(STATEMENTS)
        // Statements may stand beside secrets in a log that is not ours to protect.
        .disable_statement_logging()
}

/// Makes the file readable by its owner alone; the log and the shared memory beside it inherit that.
fn make_private(path: &Path) -> Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    file.map(drop).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

fn readers() -> u32 {
    let cores = available_parallelism().map_or(2, std::num::NonZero::get);
    u32::try_from(cores.clamp(2, 8)).unwrap_or(2)
}

/// How long a statement waits for another process that writes the same file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a read waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Above the number of different statements in the engine, so that none is ever prepared twice.
pub(crate) const STATEMENTS: usize = 512;
