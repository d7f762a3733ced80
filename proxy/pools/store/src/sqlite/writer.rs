//! The one writer: it takes what waits, runs it in one transaction, syncs once, and only then answers.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::control;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::observe::{Kind, Meter};
use crate::tx::{Connection, Failure, Tx};

/// The sending side; the task ends when the last of them is dropped.
pub(super) struct Writer(mpsc::Sender<Box<dyn Job>>);

impl Writer {
    pub(super) fn start(
        connection: sqlx::SqliteConnection,
        options: SqliteConnectOptions,
        meter: Meter,
    ) -> Self {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let tx = Some(Tx::new(Connection::SqliteWriter(connection)));
        tokio::spawn(
            Task {
                tx,
                options,
                jobs,
                meter,
            }
            .serve(),
        );
        Self(sender)
    }

    /// Queues a job; waits while the queue is full.
    pub(super) async fn send(&self, job: Box<dyn Job>) {
        if let Err(refused) = self.0.send(job).await {
            refused.0.answer(Err(Error::Closed));
        }
    }
}

struct Task {
    /// `None` after the connection failed, until the next group opens a new one.
    tx: Option<Tx>,
    options: SqliteConnectOptions,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    meter: Meter,
}

/// A job that ran in the open group, and how it ends if the group commits.
type Ran = (Box<dyn Job>, Result<()>);

impl Task {
    async fn serve(mut self) {
        while let Some(first) = self.jobs.recv().await {
            let mut ran = Vec::new();
            let end = self.group(first, &mut ran).await;
            for (job, own) in ran {
                // INVARIANT: nobody is told of success before COMMIT returned, which syncs the log.
                job.answer(match &end {
                    Ok(()) => own,
                    Err(lost) => Err(lost.error()),
                });
            }
        }
    }

    /// Runs the first job and those that wait behind it as one transaction.
    async fn group(&mut self, first: Box<dyn Job>, ran: &mut Vec<Ran>) -> Result<(), Lost> {
        let mut tx = match self.begin().await {
            Ok(tx) => tx,
            Err(error) => {
                ran.push((first, Ok(())));
                return Err(Lost::from(error));
            }
        };
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            let end = within_savepoint(&mut tx, job.as_mut()).await;
            let lost = end.is_err();
            ran.push((job, end.unwrap_or(Ok(()))));
            if lost {
                // Dropping the connection rolls everything back; the next group opens another.
                return Err(Lost::Connection);
            }
            if ran.len() < GROUP {
                next = self.jobs.try_recv().ok();
            }
        }
        self.meter
            .time(Kind::Commit, commit(&mut tx))
            .await
            .map_err(Lost::from)?;
        self.tx = Some(tx);
        Ok(())
    }

    async fn begin(&mut self) -> Result<Tx> {
        let mut tx = match self.tx.take() {
            Some(tx) => tx,
            None => Tx::new(Connection::SqliteWriter(self.options.connect().await?)),
        };
        run(&mut tx, "BEGIN IMMEDIATE").await?;
        Ok(tx)
    }
}

/// Why a whole group failed, told to each of its jobs.
enum Lost {
    Conflict,
    Connection,
    Corrupt(String),
}

impl Lost {
    fn error(&self) -> Error {
        match self {
            Self::Conflict => Error::conflict(),
            Self::Connection => Error::Connection { source: None },
            Self::Corrupt(what) => Error::Corrupt {
                what: what.clone().into(),
            },
        }
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict { .. } => Self::Conflict,
            Error::Corrupt { what } => Self::Corrupt(what.into_owned()),
            _ => Self::Connection,
        }
    }
}

/// Runs one job so that its failure undoes its own changes alone; `Err` means that the group cannot go on.
async fn within_savepoint(tx: &mut Tx, job: &mut dyn Job) -> Result<Result<()>, ()> {
    run(tx, "SAVEPOINT job").await.map_err(drop)?;
    tx.begin_again();
    let ran = timeout(JOB, job.run(tx)).await;
    let own = match (ran, tx.failed()) {
        (_, Some(Failure::Connection)) => return Err(()),
        (Ok(true), None) => {
            run(tx, "RELEASE job").await.map_err(drop)?;
            return Ok(Ok(()));
        }
        (Ok(true), Some(_)) => Err(Error::Aborted),
        (Ok(false), _) => Ok(()),
        (Err(_), _) => Err(Error::TimedOut {
            seconds: JOB.as_secs(),
        }),
    };
    // Some failures (a full disk) roll the whole transaction back by themselves, and then this fails too.
    run(tx, "ROLLBACK TO job").await.map_err(drop)?;
    run(tx, "RELEASE job").await.map_err(drop)?;
    Ok(own)
}

async fn commit(tx: &mut Tx) -> Result<()> {
    run(tx, "COMMIT").await
}

async fn run(tx: &mut Tx, sql: &'static str) -> Result<()> {
    match tx.connection() {
        Connection::SqliteWriter(connection) => control(connection, sql).await,
        Connection::SqliteReader(_) | Connection::Postgres(_) => Err(Error::Closed),
    }
}

/// How many writes may wait before callers wait to queue theirs.
const QUEUE: usize = 256;
/// How many writes share a commit at most: more would make the first of them wait for the last.
const GROUP: usize = 64;
/// Work never waits for anything but the database, so this only ends a write that waits for another one.
const JOB: Duration = Duration::from_secs(10);
