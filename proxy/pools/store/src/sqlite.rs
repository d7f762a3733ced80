//! The embedded database: one writer, several readers, write-ahead log.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::migrate::{Migration, Migrator};
use crate::observe::Meter;
use crate::row::Row;
use crate::value::{Sql, Value};

mod backup;
mod connection;
mod place;
mod readers;
mod writer;

pub(crate) use connection::{NOW_MS, execute, rows};

use connection::Options;
use place::Place;
use readers::Readers;
use writer::Writer;

/// A store in one file.
pub(crate) struct Sqlite {
    path: PathBuf,
    place: Place,
    writer: Writer,
    readers: Readers,
}

/// Copies the store in a file, as it is now, while others go on writing.
pub(crate) async fn backup(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let copying = Handle::current().spawn_blocking(move || backup::copy(&from, &to));
    copying.await.unwrap_or(Err(Error::Closed))
}

impl Sqlite {
    /// Opens or makes the file, brings it up to date and starts its writer.
    pub(crate) async fn open(
        path: PathBuf,
        migrations: &[Migration],
        meter: Meter,
    ) -> Result<Self> {
        let (migrations, runtime) = (migrations.to_vec(), Handle::current());
        let opening = runtime
            .clone()
            .spawn_blocking(move || Self::open_blocking(path, &migrations, meter, runtime));
        opening.await.unwrap_or(Err(Error::Closed))
    }

    fn open_blocking(
        path: PathBuf,
        migrations: &[Migration],
        meter: Meter,
        runtime: Handle,
    ) -> Result<Self> {
        make_private(&path)?;
        let options = Options::new(&path);
        let place = Place::of(&path)?;
        let migrator = Migrator::new(migrations)?;
        let connection = connection::patiently(options.locked, || {
            // To turn a new file's log on, SQLite asks for a lock that it does not wait for.
            let connection = options.writer()?;
            migrator.sqlite(&connection)?;
            Ok(connection)
        })?;
        let readers = Readers::open(options.clone(), place.clone(), runtime.clone())?;
        let writer = Writer::start(connection, options, place.clone(), meter, runtime)?;
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

    /// Queues a job for the writer's next group.
    pub(crate) async fn write(&self, job: Box<dyn Job>) {
        self.writer.send(job).await;
    }

    /// Starts a job in a read transaction, on one snapshot.
    pub(crate) async fn read(&self, job: Box<dyn Job>) {
        self.readers.start(job).await;
    }

    /// Runs one statement on a reader.
    pub(crate) async fn rows(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>> {
        self.readers.rows(sql, args).await
    }

    /// Makes a copy of the store as it is now, while others go on writing.
    pub(crate) async fn backup_to(&self, to: &Path) -> Result<()> {
        backup(&self.path, to).await
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use testkit::SqliteFile;
    use tokio::time::timeout;

    use super::connection::control;
    use super::*;

    #[tokio::test]
    async fn a_new_store_waits_for_the_process_that_makes_it() {
        let file = SqliteFile::new().unwrap();
        let path = file.folder().join("store.db");
        make_private(&path).unwrap();
        let other = Options::new(&path).open().unwrap();
        control(&other, "BEGIN IMMEDIATE").unwrap();
        control(&other, "CREATE TABLE t (n INTEGER)").unwrap();
        let opening = Sqlite::open(path, &[], Meter::default());
        tokio::pin!(opening);
        let early = timeout(Duration::from_millis(100), &mut opening).await;
        assert!(early.is_err(), "{:?}", early.map(Result::err));
        control(&other, "COMMIT").unwrap();
        opening.await.unwrap();
    }
}
