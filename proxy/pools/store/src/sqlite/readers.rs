//! The connections that read: opened once, lent to one read at a time.

use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::{self, Options, control};
use super::place::Place;
use crate::blocking::may_block;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::row::Row;
use crate::tx::Tx;
use crate::value::{Sql, Value};

/// Clones share the connections.
#[derive(Clone)]
pub(super) struct Readers(Arc<Inner>);

struct Inner {
    options: Options,
    place: Place,
    idle: Mutex<Vec<Connection>>,
    /// As many as there may be connections.
    turns: Arc<Semaphore>,
    /// Where reads run that block: callers may be on runtimes with few threads.
    runtime: Handle,
}

impl Readers {
    /// Opens all of them now, so that none is opened later to another file that took the place of the store's.
    pub(super) fn open(options: Options, place: Place, runtime: Handle) -> Result<Self> {
        let count = count();
        let idle = (0..count).map(|_| options.reader());
        Ok(Self(Arc::new(Inner {
            idle: Mutex::new(idle.collect::<Result<_>>()?),
            options,
            place,
            turns: Arc::new(Semaphore::new(count)),
            runtime,
        })))
    }

    /// Runs one statement, which is a snapshot of its own.
    pub(super) async fn rows(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>> {
        let turn = self.turn().await?;
        let read = move || {
            turn.read(|connection| {
                let rows = connection::rows(&connection, &sql, &args);
                (rows, Some(connection))
            })
        };
        if may_block() {
            return read();
        }
        let reading = self.0.runtime.spawn_blocking(read);
        reading.await.unwrap_or(Err(Error::Closed))
    }

    /// Starts a job in a read transaction, on one snapshot; it goes on when its caller goes away.
    pub(super) async fn start(&self, mut job: Box<dyn Job>) {
        let turn = match self.turn().await {
            Ok(turn) => turn,
            Err(error) => return job.answer(Err(error)),
        };
        let runtime = self.0.runtime.clone();
        self.0.runtime.spawn_blocking(move || {
            let end = turn.read(|connection| within(connection, job.as_mut(), &runtime));
            job.answer(end);
        });
    }

    async fn turn(&self) -> Result<Turn> {
        match timeout(TURN, self.0.turns.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn {
                readers: self.clone(),
                _permit: permit,
            }),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::TimedOut {
                seconds: TURN.as_secs(),
            }),
        }
    }
}

/// The right to use one connection.
struct Turn {
    readers: Readers,
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Lends a connection to `work`, and keeps what it gives back for the next.
    fn read<T>(
        self,
        work: impl FnOnce(Connection) -> (Result<T>, Option<Connection>),
    ) -> Result<T> {
        let (end, connection) = work(self.readers.0.connection()?);
        self.readers.0.idle().extend(connection);
        end
    }
}

impl Inner {
    fn connection(&self) -> Result<Connection> {
        if let Some(connection) = self.idle().pop() {
            return Ok(connection);
        }
        self.place.check()?;
        self.options.reader()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a job between BEGIN and ROLLBACK; a connection on which these fail is not used again.
fn within(
    connection: Connection,
    job: &mut dyn Job,
    runtime: &Handle,
) -> (Result<()>, Option<Connection>) {
    if let Err(error) = control(&connection, "BEGIN DEFERRED") {
        return (Err(error), None);
    }
    let mut tx = Tx::sqlite(connection);
    let kept = runtime.block_on(job.run(&mut tx));
    let failed = tx.failed().is_some();
    let connection = tx.into_sqlite();
    let ended = connection
        .as_ref()
        .ok_or(Error::Closed)
        .and_then(|connection| control(connection, "ROLLBACK"));
    match ended {
        Err(error) => (Err(error), None),
        Ok(()) if kept && failed => (Err(Error::Aborted), connection),
        Ok(()) => (Ok(()), connection),
    }
}

/// Two for each core: threads that may block, of which there is one for each, may have one and wait for a processor with it.
fn count() -> usize {
    2 * available_parallelism().map_or(1, NonZero::get).clamp(1, 32)
}

/// How long a read waits for its turn.
const TURN: Duration = Duration::from_secs(10);
