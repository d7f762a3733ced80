//! Migrations: once each, all or nothing, and never on a store that is not ours to touch.

use std::error::Error as _;

use anyhow::{Context, Result};
use store::{Db, Error, Migration, args};

use crate::place::{MIGRATIONS, Place, add, on_both, people};

on_both!(
    runs_once,
    many_nodes_start_at_once,
    a_newer_store_is_refused,
    a_changed_migration_is_refused,
    a_failed_migration_leaves_nothing,
    an_upgrade_keeps_the_rows,
);

async fn runs_once(place: Place) -> Result<()> {
    drop(place.open().await?);
    let db = place.open().await?;
    let sql = "SELECT version, name, applied_ms FROM schema_migrations WHERE version > 0 ORDER BY version";
    let rows = db.rows(sql, args![]).await?;
    let versions = rows
        .iter()
        .map(|row| row.int("version"))
        .collect::<store::Result<Vec<_>>>()?;
    assert_eq!(versions, [1, 2]);
    let first = rows.first().context("no row")?;
    assert_eq!(first.text("name")?, "people");
    assert!(first.int("applied_ms")? > 1_700_000_000_000);
    Ok(())
}

async fn many_nodes_start_at_once(place: Place) -> Result<()> {
    let nodes: Vec<_> = (0..8)
        .map(|_| {
            let url = place.url.clone();
            tokio::spawn(async move { Db::open(&url, MIGRATIONS).await })
        })
        .collect();
    for node in nodes {
        node.await??;
    }
    // The second migration inserts: twice would have failed, and its rows are there once.
    let db = place.open().await?;
    let row = db
        .row("SELECT COUNT(*) AS n FROM counters", args![])
        .await?;
    assert_eq!(row.context("no count")?.int("n")?, 2);
    Ok(())
}

async fn a_newer_store_is_refused(place: Place) -> Result<()> {
    drop(place.open().await?);
    let older = MIGRATIONS.get(..1).context("no migration")?;
    let end = Db::open(&place.url, older).await;
    assert!(
        matches!(
            end,
            Err(Error::Newer {
                store: 2,
                binary: 1
            })
        ),
        "{end:?}"
    );
    Ok(())
}

async fn a_changed_migration_is_refused(place: Place) -> Result<()> {
    drop(place.open().await?);
    let changed: Vec<_> = MIGRATIONS
        .iter()
        .map(|own| Migration {
            sql: "SELECT 1",
            ..*own
        })
        .collect();
    let end = Db::open(&place.url, &changed).await;
    assert!(
        matches!(&end, Err(Error::Changed { version: 1, name }) if name == "people"),
        "{end:?}"
    );
    Ok(())
}

async fn a_failed_migration_leaves_nothing(place: Place) -> Result<()> {
    let broken = Migration {
        version: 3,
        name: "broken",
        sql: "CREATE TABLE half (a TEXT); INSERT INTO absent (a) VALUES ('x');",
    };
    let mut list = MIGRATIONS.to_vec();
    list.push(broken);
    let error = Db::open(&place.url, &list).await.err().context("it ran")?;
    assert_eq!(error.to_string(), "migration 3 (`broken`) failed");
    assert!(
        error
            .source()
            .is_some_and(|source| source.to_string().contains("absent"))
    );

    let repaired = Migration {
        sql: "CREATE TABLE half (a TEXT)",
        ..broken
    };
    list.pop();
    list.push(repaired);
    Db::open(&place.url, &list).await?;
    Ok(())
}

async fn an_upgrade_keeps_the_rows(place: Place) -> Result<()> {
    let db = place.open().await?;
    add(&db, "ann").await?;
    let mut list = MIGRATIONS.to_vec();
    list.push(Migration {
        version: 7,
        name: "later",
        sql: "ALTER TABLE people ADD COLUMN later BIGINT",
    });
    let newer = Db::open(&place.url, &list).await?;
    assert_eq!(people(&newer).await?, 1);
    // The older node goes on with its own statements meanwhile.
    add(&db, "bob").await?;
    assert_eq!(people(&newer).await?, 2);
    Ok(())
}
