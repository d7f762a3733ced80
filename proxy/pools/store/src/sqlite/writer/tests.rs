use std::time::Duration;

use testkit::SqliteFile;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::connection::PAUSE;
use super::*;
use crate::job::job;

/// A writer that the database does not make wait, and another connection that holds the lock.
struct Locked {
    writer: Writer,
    holder: Connection,
    _file: SqliteFile,
}

impl Locked {
    fn new(locked: Duration) -> Self {
        let file = SqliteFile::new().unwrap();
        let path = file.folder().join("store.db");
        super::super::make_private(&path).unwrap();
        let options = Options {
            busy: Duration::ZERO,
            locked,
            ..Options::new(&path)
        };
        let connection = options.writer().unwrap();
        let holder = options.writer().unwrap();
        control(&holder, "CREATE TABLE t (n INTEGER)").unwrap();
        control(&holder, "BEGIN IMMEDIATE").unwrap();
        let (place, meter) = (Place::of(&path).unwrap(), Meter::default());
        Self {
            writer: Writer::start(connection, options, place, meter, Handle::current()).unwrap(),
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
    let locked = Locked::new(Duration::from_mins(1));
    let mut answer = locked.write().await;
    let early = timeout(PAUSE * 3, &mut answer).await;
    assert!(early.is_err(), "{early:?}");
    control(&locked.holder, "COMMIT").unwrap();
    assert_eq!(answer.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_is_an_error() {
    let locked = Locked::new(PAUSE * 3);
    let end = locked.write().await.await.unwrap();
    assert!(
        matches!(end, Err(Error::Conflict { attempts }) if attempts > 1),
        "{end:?}"
    );
    control(&locked.holder, "COMMIT").unwrap();
    assert_eq!(locked.write().await.await.unwrap().unwrap(), 1);
}
