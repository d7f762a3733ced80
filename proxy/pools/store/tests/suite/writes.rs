//! Writes: exact under concurrency, all or nothing, and clear about why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use store::{Db, Error, Kind, args};
use tokio::sync::{Barrier, Notify};

use crate::place::{ADD, Place, add, on_both, people};

on_both!(
    parallel_increments_are_exact,
    two_nodes_share_a_store,
    a_failure_loses_only_its_own_changes,
    an_error_of_the_caller_rolls_back,
    unique_violations_name_columns_and_no_values,
    other_violations_are_told_apart,
    a_failed_statement_loses_the_transaction,
    a_panic_is_an_error,
    a_caller_that_goes_away_does_not_stop_a_write,
    a_bad_statement_says_why,
    every_step_is_measured,
);

async fn parallel_increments_are_exact(place: Place) -> Result<()> {
    let db = place.open().await?;
    let tasks: Vec<_> = (0..100)
        .map(|_| tokio::spawn(increment(db.clone())))
        .collect();
    for task in tasks {
        task.await??;
    }
    assert_eq!(counter(&db).await?, 100);
    Ok(())
}

async fn two_nodes_share_a_store(place: Place) -> Result<()> {
    let (one, two) = (place.open().await?, place.open().await?);
    let nodes = (0..60).map(|n| if n % 2 == 0 { one.clone() } else { two.clone() });
    let tasks: Vec<_> = nodes.map(|db| tokio::spawn(increment(db))).collect();
    for task in tasks {
        task.await??;
    }
    assert_eq!(counter(&one).await?, 60);
    assert_eq!(counter(&two).await?, 60);
    Ok(())
}

/// Reads and then writes, so that a lost update would show.
async fn increment(db: Db) -> store::Result<()> {
    db.write(|tx| {
        Box::pin(async move {
            let row = tx
                .row("SELECT n FROM counters WHERE name = $1", args!["a"])
                .await?;
            let n = row.map_or(Ok(0), |row| row.int("n"))?;
            tx.execute(
                "UPDATE counters SET n = $1 WHERE name = $2",
                args![n + 1, "a"],
            )
            .await?;
            Ok(())
        })
    })
    .await
}

async fn counter(db: &Db) -> Result<i64> {
    let row = db
        .row("SELECT n FROM counters WHERE name = 'a'", args![])
        .await?;
    Ok(row.context("no counter")?.int("n")?)
}

async fn a_failure_loses_only_its_own_changes(place: Place) -> Result<()> {
    let db = place.open().await?;
    let tasks: Vec<_> = (0..30)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(move |tx| {
                    Box::pin(async move {
                        tx.execute(ADD, args![format!("p{n}")]).await?;
                        // After the change, so that there is something to undo.
                        let sql = if n % 3 == 0 {
                            ADD
                        } else {
                            "SELECT 1 AS one WHERE $1 <> ''"
                        };
                        tx.rows(sql, args![format!("p{n}")]).await
                    })
                })
                .await
            })
        })
        .collect();
    let mut failed = 0;
    for task in tasks {
        failed += usize::from(task.await?.is_err());
    }
    assert_eq!((failed, people(&db).await?), (10, 20));
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Refused {
    Ours(&'static str),
    Store(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error.to_string())
    }
}

async fn an_error_of_the_caller_rolls_back(place: Place) -> Result<()> {
    let db = place.open().await?;
    let end = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute(ADD, args!["ann"]).await?;
                Err::<(), _>(Refused::Ours("not today"))
            })
        })
        .await;
    assert_eq!(end, Err(Refused::Ours("not today")));
    assert_eq!(people(&db).await?, 0);
    Ok(())
}

async fn unique_violations_name_columns_and_no_values(place: Place) -> Result<()> {
    let db = place.open().await?;
    add(&db, "ann").await?;
    let error = add(&db, "ann").await.err().context("taken twice")?;
    assert!(error.is_unique_violation());
    assert!(
        error
            .unique()
            .is_some_and(|violation| violation.is_over(&["name"])),
        "{error:?}"
    );

    let insert = |name: &'static str| {
        db.write(move |tx| {
            Box::pin(tx.execute(
                "INSERT INTO people (name, pool, email) VALUES ($1, 'pool', 'hidden@example.com')",
                args![name],
            ))
        })
    };
    insert("bob").await?;
    let error = insert("cy").await.err().context("taken twice")?;
    assert!(
        error
            .unique()
            .is_some_and(|violation| violation.is_over(&["pool", "email"]))
    );
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hidden"), "{shown}");
    Ok(())
}

async fn other_violations_are_told_apart(place: Place) -> Result<()> {
    let db = place.open().await?;
    let end = db
        .write(|tx| Box::pin(tx.execute("INSERT INTO counters (name) VALUES ('x')", args![])))
        .await;
    let Err(Error::Constraint(violation)) = end else {
        anyhow::bail!("{end:?}")
    };
    assert!(violation.is_over(&["n"]), "{violation:?}");
    Ok(())
}

async fn a_failed_statement_loses_the_transaction(place: Place) -> Result<()> {
    let db = place.open().await?;
    add(&db, "ann").await?;
    let end = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute(ADD, args!["bob"]).await?;
                let twice = tx.execute(ADD, args!["ann"]).await;
                let after = tx.execute(ADD, args!["cy"]).await;
                // Swallows both, and says that all is well.
                Ok::<_, Error>((twice.is_err(), matches!(after, Err(Error::Aborted))))
            })
        })
        .await;
    assert!(matches!(end, Err(Error::Aborted)), "{end:?}");
    assert_eq!(people(&db).await?, 1);
    Ok(())
}

async fn a_panic_is_an_error(place: Place) -> Result<()> {
    let db = place.open().await?;
    let end = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute(ADD, args!["ann"]).await?;
                std::panic::resume_unwind(Box::new("a bug"));
                #[expect(unreachable_code, reason = "gives the work its type")]
                Ok::<(), Error>(())
            })
        })
        .await;
    assert!(matches!(end, Err(Error::Panicked)), "{end:?}");
    add(&db, "bob").await?;
    assert_eq!(people(&db).await?, 1);
    Ok(())
}

async fn a_caller_that_goes_away_does_not_stop_a_write(place: Place) -> Result<()> {
    let db = place.open().await?;
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let caller = {
        let (db, started, go) = (db.clone(), started.clone(), go.clone());
        tokio::spawn(async move {
            db.write(move |tx| {
                let (started, go) = (started.clone(), go.clone());
                Box::pin(async move {
                    tx.execute(ADD, args!["ann"]).await?;
                    started.notify_one();
                    go.notified().await;
                    tx.execute(ADD, args!["bob"]).await
                })
            })
            .await
        })
    };
    started.notified().await;
    caller.abort();
    assert!(caller.await.is_err_and(|end| end.is_cancelled()));
    go.notify_one();
    // Polled, as nobody is told when that write ends.
    while people(&db).await? != 2 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn a_bad_statement_says_why(place: Place) -> Result<()> {
    let db = place.open().await?;
    let error = db
        .rows("SELECT missing FROM people", args![])
        .await
        .err()
        .context("it ran")?;
    assert!(matches!(&error, Error::Statement { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
    Ok(())
}

async fn every_step_is_measured(place: Place) -> Result<()> {
    let db = place.open().await?;
    let counts: Arc<[AtomicU32; 3]> = Arc::default();
    let seen = counts.clone();
    let observer = Arc::new(move |kind, _| {
        let [read, write, commit] = &*seen;
        let count = match kind {
            Kind::Read => read,
            Kind::Write => write,
            Kind::Commit => commit,
        };
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert!(db.observe(observer));
    add(&db, "ann").await?;
    people(&db).await?;
    assert_eq!(
        counts.each_ref().map(|count| count.load(Ordering::SeqCst)),
        [1, 1, 1]
    );
    Ok(())
}

/// Those who wait behind a write share its commit, and one that fails among them keeps nobody from it.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_groups_commits() -> Result<()> {
    let place = Place::sqlite()?;
    let db = place.open().await?;
    let commits = Arc::new(AtomicU32::new(0));
    let seen = commits.clone();
    db.observe(Arc::new(move |kind, _| {
        if kind == Kind::Commit {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    }));
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = tokio::spawn({
        let (db, started, go) = (db.clone(), started.clone(), go.clone());
        async move {
            db.write(move |tx| {
                let (started, go) = (started.clone(), go.clone());
                Box::pin(async move {
                    started.notify_one();
                    go.notified().await;
                    tx.execute(ADD, args!["p0"]).await
                })
            })
            .await
        }
    });
    started.notified().await;
    // `p3` is there twice. Polled once each, so that all of them wait in the queue when the first goes on.
    let mut waiting: Vec<_> = ["p1", "p2", "p3", "p3", "p4", "p5"]
        .map(|name| Box::pin(add(&db, name)))
        .into();
    for write in &mut waiting {
        std::future::poll_fn(|cx| {
            assert!(write.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    }
    go.notify_one();
    first.await??;
    let mut failed = 0;
    for write in waiting {
        failed += usize::from(write.await.is_err());
    }
    assert_eq!(
        (failed, people(&db).await?, commits.load(Ordering::SeqCst)),
        (1, 6, 1)
    );
    Ok(())
}

/// Two transactions that both read before either writes: one of them is run again, and sees what the other did.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_retries_conflicts() -> Result<()> {
    let place = Place::postgres()?;
    let db = place.open().await?;
    let (tries, meet) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(2)));
    let colliding = || {
        let (db, tries, meet) = (db.clone(), tries.clone(), meet.clone());
        tokio::spawn(async move {
            db.write(move |tx| {
                let (tries, meet) = (tries.clone(), meet.clone());
                Box::pin(async move {
                    let row = tx
                        .row("SELECT n FROM counters WHERE name = 'a'", args![])
                        .await?;
                    let n = row.map_or(Ok(0), |row| row.int("n"))?;
                    if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                        meet.wait().await;
                    }
                    tx.execute("UPDATE counters SET n = $1 WHERE name = 'a'", args![n + 1])
                        .await
                })
            })
            .await
        })
    };
    let (one, two) = (colliding(), colliding());
    one.await??;
    two.await??;
    assert_eq!(counter(&db).await?, 2);
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_gives_up_in_the_end() -> Result<()> {
    let place = Place::postgres()?;
    let db = place.open().await?;
    let raise = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$";
    let end = db
        .write(move |tx| Box::pin(tx.execute(raise, args![])))
        .await;
    assert!(
        matches!(end, Err(Error::Conflict { attempts }) if attempts > 10),
        "{end:?}"
    );
    assert_eq!(people(&db).await?, 0);
    Ok(())
}
