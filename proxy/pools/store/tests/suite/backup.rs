//! Backups: a whole copy under its name or none, while others write.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use store::{Db, Error};

use crate::place::{MIGRATIONS, Place, add, people};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_holds_what_was_answered_before() -> Result<()> {
    let place = Place::sqlite()?;
    let db = place.open().await?;
    for n in 0..50 {
        add(&db, &format!("before{n}")).await?;
    }
    let folder = place.file.as_ref().context("no file")?.folder();
    let to = folder.join("copy.db");
    let writing = tokio::spawn({
        let db = db.clone();
        async move {
            for n in 0..50 {
                add(&db, &format!("during{n}")).await?;
            }
            Ok::<_, Error>(())
        }
    });
    db.backup_to(&to).await?;
    writing.await??;

    assert_eq!(fs::metadata(&to)?.permissions().mode() & 0o777, 0o600);
    assert!(!folder.join("copy.db.partial").exists());
    let copy = Db::open(&format!("sqlite:{}", to.display()), MIGRATIONS).await?;
    assert!((50..=100).contains(&people(&copy).await?));
    assert_eq!(people(&db).await?, 100);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten() -> Result<()> {
    let place = Place::sqlite()?;
    let db = place.open().await?;
    let to = place
        .file
        .as_ref()
        .context("no file")?
        .folder()
        .join("kept");
    fs::write(&to, "kept")?;
    let end = db.backup_to(&to).await;
    assert!(
        matches!(&end, Err(Error::File { path, .. }) if *path == to),
        "{end:?}"
    );
    assert_eq!(fs::read_to_string(&to)?, "kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_is_named() -> Result<()> {
    let place = Place::sqlite()?;
    let db = place.open().await?;
    let to = place
        .file
        .as_ref()
        .context("no file")?
        .folder()
        .join("absent/copy.db");
    let error = db.backup_to(&to).await.err().context("it was written")?;
    assert!(error.to_string().contains("absent/copy.db"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_has_its_own_tools() -> Result<()> {
    let place = Place::postgres()?;
    assert!(place.is_postgres());
    let end = place.open().await?.backup_to("copy".as_ref()).await;
    assert!(matches!(end, Err(Error::NotAFile)), "{end:?}");
    Ok(())
}
