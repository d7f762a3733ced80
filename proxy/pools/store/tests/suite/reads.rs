//! Reads: one snapshot, nothing written, values as they were stored.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use store::{Db, Error, args};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::place::{ADD, MIGRATIONS, Place, add, on_both, people};

on_both!(
    a_read_sees_one_snapshot,
    a_read_cannot_write,
    nulls_and_flags_come_back,
    literals_are_integers_and_text,
    columns_are_told_by_name,
    the_clock_is_the_databases,
);

async fn a_read_sees_one_snapshot(place: Place) -> Result<()> {
    let db = place.open().await?;
    add(&db, "ann").await?;
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let reader = tokio::spawn({
        let (db, started, go) = (db.clone(), started.clone(), go.clone());
        async move {
            db.read(move |tx| {
                let (started, go) = (started.clone(), go.clone());
                Box::pin(async move {
                    let before = tx.rows("SELECT name FROM people", args![]).await?.len();
                    started.notify_one();
                    go.notified().await;
                    Ok::<_, Error>((
                        before,
                        tx.rows("SELECT name FROM people", args![]).await?.len(),
                    ))
                })
            })
            .await
        }
    });
    started.notified().await;
    add(&db, "bob").await?;
    go.notify_one();
    assert_eq!(reader.await??, (1, 1));
    assert_eq!(people(&db).await?, 2);
    Ok(())
}

/// SQLite alone: PostgreSQL's answers come over a socket, for which no thread waits.
#[tokio::test]
async fn a_thread_that_may_block_reads_in_place() -> Result<()> {
    let file = testkit::SqliteFile::new()?;
    let db = Db::open(&file.url(), MIGRATIONS).await?;
    let runtime = Handle::current();
    let reading = thread::spawn(move || {
        let _entered = runtime.enter();
        store::may_block_here();
        at_once(people(&db)).transpose()
    });
    let read = tokio::task::spawn_blocking(|| reading.join()).await?;
    assert_eq!(read.map_err(|_| anyhow!("the thread panicked"))??, Some(0));
    Ok(())
}

/// What a future gives that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => Some(end),
        Poll::Pending => None,
    }
}

async fn a_read_cannot_write(place: Place) -> Result<()> {
    let db = place.open().await?;
    let end = db.read(|tx| Box::pin(tx.execute(ADD, args!["ann"]))).await;
    assert!(end.is_err());
    assert!(
        db.rows(
            "INSERT INTO people (name) VALUES ('x') RETURNING name",
            args![]
        )
        .await
        .is_err()
    );
    assert_eq!(people(&db).await?, 0);
    add(&db, "bob").await?;
    Ok(())
}

async fn nulls_and_flags_come_back(place: Place) -> Result<()> {
    let db = place.open().await?;
    let none: Option<String> = None;
    let insert =
        "INSERT INTO people (name, email, age, note) VALUES ($1, $2, $3, $4) RETURNING age";
    let returned = db
        .write(move |tx| Box::pin(tx.row(insert, args!["ann", none, None::<i64>, ""])))
        .await?
        .context("nothing returned")?;
    assert_eq!(returned.opt_int("age")?, None);
    db.write(move |tx| Box::pin(tx.execute(insert, args!["bob", "b@b", true, "n"])))
        .await?;

    let rows = db
        .rows("SELECT * FROM people ORDER BY name", args![])
        .await?;
    let [ann, bob] = rows.as_slice() else {
        anyhow::bail!("{rows:?}")
    };
    assert_eq!(
        (ann.opt_text("email")?, ann.text("note")?),
        (None, String::new())
    );
    assert!(matches!(ann.text("email"), Err(Error::Column { .. })));
    assert!(matches!(ann.flag("age"), Err(Error::Column { .. })));
    assert_eq!(
        (bob.opt_text("email")?.as_deref(), bob.flag("age")?),
        (Some("b@b"), true)
    );
    assert!(matches!(bob.int("name"), Err(Error::Column { .. })));

    let found = |email: Option<&'static str>| {
        let sql =
            "SELECT name FROM people WHERE email = CAST($1 AS TEXT) OR CAST($1 AS TEXT) IS NULL";
        db.rows(sql, args![email])
    };
    assert_eq!(
        (found(None).await?.len(), found(Some("b@b")).await?.len()),
        (2, 1)
    );
    Ok(())
}

async fn literals_are_integers_and_text(place: Place) -> Result<()> {
    let db = place.open().await?;
    let sql = "SELECT 1 AS one, 'a' AS a, EXISTS (SELECT name FROM people) AS some, $1 + 1 AS next";
    let row = db.row(sql, args![i64::MAX - 1]).await?.context("no row")?;
    assert_eq!((row.int("one")?, row.text("a")?.as_str()), (1, "a"));
    assert_eq!((row.flag("some")?, row.int("next")?), (false, i64::MAX));
    Ok(())
}

async fn columns_are_told_by_name(place: Place) -> Result<()> {
    let db = place.open().await?;
    let row = db
        .row("SELECT 1 AS one", args![])
        .await?
        .context("no row")?;
    let error = row.text("two").err().context("it is there")?;
    assert_eq!(
        error.to_string(),
        "column `two`: the statement does not return it"
    );
    assert!(db.row("SELECT name FROM people", args![]).await?.is_none());
    Ok(())
}

async fn the_clock_is_the_databases(place: Place) -> Result<()> {
    let db = place.open().await?;
    let outside = db.now_ms().await?;
    let inside = db.write(|tx| Box::pin(tx.now_ms())).await?;
    assert!(
        outside > 1_700_000_000_000 && inside >= outside,
        "{outside} {inside}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_at_once() -> Result<()> {
    // The port is free again when the listener is dropped, and nothing takes it in between.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let url = format!("postgres://portcullis:hunter2@127.0.0.1:{port}/portcullis");
    let opening = Db::open(&url, MIGRATIONS);
    let error = timeout(Duration::from_secs(5), opening).await?;
    let error = error.err().context("it opened")?;
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(
        text.contains("refused") && !text.contains("hunter2"),
        "{text}"
    );
    Ok(())
}
