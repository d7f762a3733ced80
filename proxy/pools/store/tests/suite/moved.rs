//! A SQLite store whose file goes away under it.

use std::fs;

use anyhow::{Context, Result};
use store::Error;

use crate::place::{Place, add, people};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_moved_takes_no_writes_until_it_is_back() -> Result<()> {
    let place = Place::sqlite()?;
    let db = place.open().await?;
    add(&db, "ada").await?;
    let folder = place.file.as_ref().context("no file")?.folder();
    let (here, there) = (folder.join("store.db"), folder.join("elsewhere.db"));
    fs::rename(&here, &there)?;
    let moved = |end: store::Result<()>| matches!(end, Err(Error::Moved { path }) if path == here);
    assert!(moved(db.check_place()));
    assert!(moved(add(&db, "bob").await.map(drop)));

    // Another file in its place is not the store either.
    fs::copy(&there, &here)?;
    assert!(moved(db.check_place()));
    assert!(moved(add(&db, "bob").await.map(drop)));
    // Reads go on from the one that was opened, as no connection is opened to the other.
    fs::write(&here, "no database")?;
    for _ in 0..20 {
        assert_eq!(people(&db).await?, 1);
    }

    fs::rename(&there, &here)?;
    db.check_place()?;
    add(&db, "bob").await?;
    assert_eq!(people(&db).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_in_no_file() -> Result<()> {
    Ok(Place::postgres()?.open().await?.check_place()?)
}
