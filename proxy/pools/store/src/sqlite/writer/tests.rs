use std::time::Duration;

use sqlx::SqliteConnection;
use testkit::SqliteFile;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::job::job;

/// A writer that the database does not make wait, and another connection that holds the lock.
struct Locked {
    writer: Writer,
    holder: SqliteConnection,
    _file: SqliteFile,
}

impl Locked {
    async fn new() -> Self {
        let file = SqliteFile::new().unwrap();
        let path = file.folder().join("store.db");
        super::super::make_private(&path).unwrap();
        let options = super::super::writing(&path).busy_timeout(Duration::ZERO);
        let connection = options.connect().await.unwrap();
        let mut holder = options.connect().await.unwrap();
        control(&mut holder, "CREATE TABLE t (n INTEGER)")
            .await
            .unwrap();
        control(&mut holder, "BEGIN IMMEDIATE").await.unwrap();
        let place = Place::of(&path).unwrap();
        Self {
            writer: Writer::start(connection, options, place, Meter::default()),
            holder,
            _file: file,
        }
    }

    async fn write(&self) -> oneshot::Receiver<Result<u64>> {
        let (job, answer) =
            job(|tx| Box::pin(tx.execute("INSERT INTO t (n) VALUES (1)", Vec::new())));
        self.writer.send(job).await;
        answer
    }
}

#[tokio::test]
async fn a_write_waits_for_the_lock_of_another_process() {
    let mut locked = Locked::new().await;
    let mut answer = locked.write().await;
    let early = timeout(PAUSE * 3, &mut answer).await;
    assert!(early.is_err(), "{early:?}");
    control(&mut locked.holder, "COMMIT").await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_never_given_back_is_an_error() {
    let mut locked = Locked::new().await;
    let end = locked.write().await.await.unwrap();
    assert!(
        matches!(end, Err(Error::Conflict { attempts }) if attempts > 1),
        "{end:?}"
    );
    tokio::time::resume();
    control(&mut locked.holder, "COMMIT").await.unwrap();
    assert_eq!(locked.write().await.await.unwrap().unwrap(), 1);
}
