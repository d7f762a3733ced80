//! The one writer: it takes what waits, runs it in one transaction, syncs once, and only then answers.
//!
//! It is a thread, on which the statements of a job run in place: with a thread of the driver's own behind each statement,
//! a sign-in spent more time in changes from one to the other than in the database.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::{self, Options, control};
use super::place::Place;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::observe::{Kind, Meter};
use crate::tx::{Failure, Tx};

/// The sending side; the thread ends when the last of them is dropped.
pub(super) struct Writer(mpsc::Sender<Box<dyn Job>>);

impl Writer {
    pub(super) fn start(
        connection: Connection,
        options: Options,
        place: Place,
        meter: Meter,
        runtime: Handle,
    ) -> Result<Self> {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let task = Task {
            tx: Some(Tx::sqlite(connection)),
            options,
            place,
            jobs,
            meter,
        };
        let path = task.options.path.clone();
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || runtime.block_on(task.serve()))
            .map_err(|source| Error::File { path, source })?;
        Ok(Self(sender))
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
    options: Options,
    place: Place,
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
        let mut tx = match self.begin() {
            Ok(tx) => tx,
            Err(error) => {
                ran.push((first, Ok(())));
                return Err(Lost::from(error));
            }
        };
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            let end = if ran.is_empty() {
                alone(&mut tx, job.as_mut()).await
            } else {
                within_savepoint(&mut tx, job.as_mut()).await
            };
            let Ok(ended) = end else {
                ran.push((job, Ok(())));
                // Dropping the connection rolls everything back; the next group opens another.
                return Err(Lost::Connection);
            };
            let open = !matches!(ended, Ended::RolledBack(_));
            ran.push((job, ended.own()));
            if !open {
                self.tx = Some(tx);
                return Ok(());
            }
            if ran.len() < GROUP {
                next = self.jobs.try_recv().ok();
            }
        }
        let commit = async { run(&tx, "COMMIT") };
        let end = self.meter.time(Kind::Commit, commit).await;
        end.map_err(Lost::from)?;
        self.tx = Some(tx);
        Ok(())
    }

    /// Begins a transaction; where another process holds the lock, tries again until it has held it for long.
    fn begin(&mut self) -> Result<Tx> {
        let locked = self.options.locked;
        connection::patiently(locked, || self.try_begin())
    }

    fn try_begin(&mut self) -> Result<Tx> {
        // What is written to a file that nobody finds again is lost, whatever its callers are told.
        self.place.check()?;
        let tx = match self.tx.take() {
            Some(tx) => tx,
            None => Tx::sqlite(self.options.writer()?),
        };
        match run(&tx, "BEGIN IMMEDIATE") {
            Ok(()) => Ok(tx),
            Err(error) => {
                if matches!(error, Error::Conflict { .. }) {
                    self.tx = Some(tx);
                }
                Err(error)
            }
        }
    }
}

/// Why a whole group failed, told to each of its jobs.
enum Lost {
    Conflict(u32),
    Connection,
    Corrupt(String),
    Moved(PathBuf),
}

impl Lost {
    fn error(&self) -> Error {
        match self {
            Self::Conflict(attempts) => Error::Conflict {
                attempts: *attempts,
            },
            Self::Connection => Error::Connection { source: None },
            Self::Corrupt(what) => Error::Corrupt {
                what: what.clone().into(),
            },
            Self::Moved(path) => Error::Moved { path: path.clone() },
        }
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict { attempts } => Self::Conflict(attempts),
            Error::Corrupt { what } => Self::Corrupt(what.into_owned()),
            Error::Moved { path } => Self::Moved(path),
            _ => Self::Connection,
        }
    }
}

/// How a job ended, and what that means for the open transaction.
enum Ended {
    /// Its changes are in it.
    Kept,
    /// They were undone; this is what its caller is told, besides what the job itself says.
    Undone(Result<()>),
    /// Likewise, and the transaction with them.
    RolledBack(Result<()>),
}

impl Ended {
    fn own(self) -> Result<()> {
        match self {
            Self::Kept => Ok(()),
            Self::Undone(own) | Self::RolledBack(own) => own,
        }
    }
}

/// Runs the first job of a group: before it there is nothing to keep, so that it needs no savepoint, whose two
/// statements would cost most writes more than their own.
async fn alone(tx: &mut Tx, job: &mut dyn Job) -> Result<Ended, ()> {
    match work(tx, job).await? {
        Ended::Undone(own) => {
            // Some failures (a full disk) roll the transaction back by themselves, and then this fails.
            run(tx, "ROLLBACK").map_err(drop)?;
            Ok(Ended::RolledBack(own))
        }
        kept => Ok(kept),
    }
}

/// Runs a later job so that its failure undoes its own changes alone; `Err` means that the group cannot go on.
async fn within_savepoint(tx: &mut Tx, job: &mut dyn Job) -> Result<Ended, ()> {
    run(tx, "SAVEPOINT job").map_err(drop)?;
    let ended = work(tx, job).await?;
    if !matches!(ended, Ended::Kept) {
        // Some failures (a full disk) roll the whole transaction back by themselves, and then this fails too.
        run(tx, "ROLLBACK TO job").map_err(drop)?;
    }
    run(tx, "RELEASE job").map_err(drop)?;
    Ok(ended)
}

/// Runs one job; what it leaves, if it is not to be kept, is for the caller to undo. `Err` means that the connection is
/// not to be used again.
async fn work(tx: &mut Tx, job: &mut dyn Job) -> Result<Ended, ()> {
    tx.begin_again();
    let ran = timeout(JOB, job.run(tx)).await;
    Ok(match (ran, tx.failed()) {
        (_, Some(Failure::Connection)) => return Err(()),
        (Ok(true), None) => Ended::Kept,
        (Ok(true), Some(_)) => Ended::Undone(Err(Error::Aborted)),
        (Ok(false), _) => Ended::Undone(Ok(())),
        (Err(_), _) => Ended::Undone(Err(Error::TimedOut {
            seconds: JOB.as_secs(),
        })),
    })
}

fn run(tx: &Tx, sql: &'static str) -> Result<()> {
    control(tx.as_sqlite().ok_or(Error::Closed)?, sql)
}

/// How many writes may wait before callers wait to queue theirs.
const QUEUE: usize = 256;
/// How many writes share a commit at most: more would make the first of them wait for the last.
const GROUP: usize = 64;
/// Work never waits for anything but the database, so this only ends a write that waits for another one; a statement that
/// runs is not cut short.
const JOB: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
