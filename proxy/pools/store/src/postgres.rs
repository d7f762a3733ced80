//! PostgreSQL and what speaks its wire protocol: serialisable transactions, run again when they collide.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection as _, PgConnection, Row as _, TypeInfo,
    ValueRef,
};
use tokio::time::{sleep, timeout};

use crate::error::{Error, Result};
use crate::job::Job;
use crate::migrate::{Migration, Migrator};
use crate::observe::{Kind, Meter};
use crate::row::Row;
use crate::tx::{Failure, Tx};
use crate::value::{Sql, Value};

/// The server's clock, which all nodes share.
pub(crate) const NOW_MS: &str =
    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms";

/// What a transaction may do, as the text that begins it.
#[derive(Clone, Copy)]
enum Mode {
    Write,
    Read,
}

/// A store on a server.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: PgPool,
    meter: Meter,
}

impl Postgres {
    /// Connects, and brings the database up to date.
    pub(crate) async fn open(
        options: PgConnectOptions,
        migrations: &[Migration],
        meter: Meter,
    ) -> Result<Self> {
        let options = options
            .application_name("portcullis")
            .statement_cache_capacity(crate::STATEMENTS)
            .disable_statement_logging();
        reach(&options).await?;
        let pool = PoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            // A SELECT of `Db::rows` runs without a transaction around it, and must not write either.
            .after_connect(|connection, _| {
                Box::pin(async { sqlx::raw_sql(READ_ONLY).execute(connection).await.map(drop) })
            })
            .connect_with(options)
            .await?;
        Migrator::new(migrations)?
            .postgres(&mut *pool.acquire().await?)
            .await?;
        Ok(Self { pool, meter })
    }

    /// Runs a job in a serialisable transaction.
    ///
    /// In a task of its own: a caller that goes away must not leave a transaction open on a pooled connection.
    pub(crate) fn write(&self, job: Box<dyn Job>) {
        tokio::spawn(self.clone().serve(job, Mode::Write));
    }

    /// Runs a job in a read-only transaction, on one snapshot.
    pub(crate) fn read(&self, job: Box<dyn Job>) {
        tokio::spawn(self.clone().serve(job, Mode::Read));
    }

    /// A connection for one statement.
    pub(crate) async fn reader(&self) -> Result<Tx> {
        Ok(Tx::postgres(self.pool.acquire().await?))
    }

    async fn serve(self, mut job: Box<dyn Job>, mode: Mode) {
        let mut attempts = 1;
        let end = loop {
            match self.once(job.as_mut(), mode).await {
                Err(Error::Conflict { .. }) if attempts < ATTEMPTS => {
                    sleep(backoff(attempts)).await;
                }
                Err(Error::Conflict { .. }) => break Err(Error::Conflict { attempts }),
                end => break end,
            }
            attempts += 1;
        };
        job.answer(end);
    }

    /// One try; its error, if any, replaces what the work itself said.
    async fn once(&self, job: &mut dyn Job, mode: Mode) -> Result<()> {
        let mut tx = self.reader().await?;
        control(&mut tx, mode.begin()).await?;
        let Ok(kept) = timeout(JOB, job.run(&mut tx)).await else {
            abandon(&mut tx);
            return Err(Error::TimedOut {
                seconds: JOB.as_secs(),
            });
        };
        match (kept, tx.failed()) {
            (true, None) => self.commit(&mut tx, mode).await,
            (_, Some(Failure::Connection)) => {
                abandon(&mut tx);
                if kept { Err(Error::Aborted) } else { Ok(()) }
            }
            (kept, failed) => {
                control(&mut tx, "ROLLBACK").await?;
                match failed {
                    Some(Failure::Conflict) => Err(Error::conflict()),
                    _ if kept => Err(Error::Aborted),
                    _ => Ok(()),
                }
            }
        }
    }

    async fn commit(&self, tx: &mut Tx, mode: Mode) -> Result<()> {
        let end = match mode {
            Mode::Write => self.meter.time(Kind::Commit, control(tx, "COMMIT")).await,
            Mode::Read => control(tx, "COMMIT").await,
        };
        if let Err(Error::Conflict { .. }) = end {
            // PostgreSQL has ended the transaction (this is then a warning), CockroachDB waits to be told.
            control(tx, "ROLLBACK").await?;
        }
        end
    }
}

/// Connects once and at once: the pool tries for long, and does not say why it had to.
async fn reach(options: &PgConnectOptions) -> Result<()> {
    let end = match timeout(REACH, options.connect()).await {
        Ok(Ok(connection)) => connection.close().await.map_err(Error::from),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::TimedOut {
            seconds: REACH.as_secs(),
        }),
    };
    end.map_err(|error| Error::Unreachable {
        place: format!("{}:{}", options.get_host(), options.get_port()),
        source: Box::new(error),
    })
}

impl Mode {
    fn begin(self) -> &'static str {
        match self {
            Self::Write => "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
            Self::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// Runs a statement that begins or ends a transaction; after a failure the connection's state is unknown.
async fn control(tx: &mut Tx, sql: &'static str) -> Result<()> {
    let connection = tx.as_postgres().ok_or(Error::Closed)?;
    let end = sqlx::raw_sql(sql)
        .execute(&mut **connection)
        .await
        .map(drop)
        .map_err(Error::from);
    if !matches!(end, Ok(()) | Err(Error::Conflict { .. })) {
        connection.close_on_drop();
    }
    end
}

fn abandon(tx: &mut Tx) {
    if let Some(connection) = tx.as_postgres() {
        PoolConnection::close_on_drop(connection);
    }
}

/// Up to twice as long with each attempt, at random below that, so that those who collided do not meet again.
fn backoff(attempt: u32) -> Duration {
    let ceiling = (FIRST_PAUSE_US << attempt.min(8)).min(LONGEST_PAUSE_US);
    // Each `RandomState` has keys of its own: enough chance to part two callers, and no secret depends on it.
    let random = RandomState::new().hash_one(attempt);
    Duration::from_micros(random % ceiling)
}

/// Runs a statement and counts the rows it changed.
pub(crate) async fn execute(conn: &mut PgConnection, sql: Sql, args: Vec<Value>) -> Result<u64> {
    Ok(bound(sql, args).execute(conn).await?.rows_affected())
}

/// Runs a statement and reads its rows.
pub(crate) async fn rows(conn: &mut PgConnection, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>> {
    let rows = bound(sql, args).fetch_all(conn).await?;
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let names: Arc<[String]> = first
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    rows.iter()
        .map(|row| Ok(Row::new(names.clone(), values(row)?)))
        .collect()
}

fn bound(
    sql: Sql,
    args: Vec<Value>,
) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    args.into_iter().fold(
        sqlx::query(AssertSqlSafe(sql.into_inner())),
        |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(int) => query.bind(int),
        },
    )
}

fn values(row: &PgRow) -> Result<Vec<Value>> {
    (0..row.len()).map(|at| value(row, at)).collect()
}

/// Literals and EXISTS come as INT4 and BOOL, where SQLite has only integers.
fn value(row: &PgRow, at: usize) -> Result<Value> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Text(None));
    }
    let value = match raw.type_info().name() {
        "TEXT" | "VARCHAR" | "NAME" => Value::Text(row.try_get_unchecked(at)?),
        "INT8" => Value::Int(row.try_get_unchecked(at)?),
        "INT4" => Value::Int(Some(row.try_get_unchecked::<i32, _>(at)?.into())),
        "INT2" => Value::Int(Some(row.try_get_unchecked::<i16, _>(at)?.into())),
        "BOOL" => Value::Int(Some(row.try_get_unchecked::<bool, _>(at)?.into())),
        _ => {
            return Err(Error::column(
                &at.to_string(),
                "it is neither text nor an integer: cast it",
            ));
        }
    };
    Ok(value)
}

const READ_ONLY: &str = "SET default_transaction_read_only = on";
const CONNECTIONS: u32 = 16;
/// How long the server is waited for at the start.
const REACH: Duration = Duration::from_secs(10);
/// How long work waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Work never waits for anything but the database, so this only ends what waits for itself.
const JOB: Duration = Duration::from_secs(10);
/// How often a transaction that collides is tried.
const ATTEMPTS: u32 = 40;
const FIRST_PAUSE_US: u64 = 1_000;
const LONGEST_PAUSE_US: u64 = 200_000;
