//! An answered write is there after the process was killed in the middle of others, and the store opens without repair.

use std::collections::HashSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use store::{Db, Migration, args};
use testkit::{PostgresCluster, SqliteFile};

fn main() -> Result<()> {
    if let Ok(url) = env::var(CHILD) {
        return runtime()?.block_on(write_until_killed(&url));
    }
    let file = SqliteFile::new()?;
    answered_writes_survive(&file.url())?;
    println!("test sqlite::answered_writes_survive_a_kill ... ok");
    answered_writes_survive(&PostgresCluster::shared()?.database()?)?;
    println!("test postgres::answered_writes_survive_a_kill ... ok");
    Ok(())
}

/// Starts this program again as a writer, kills it in full run, and looks for all that it said was written.
fn answered_writes_survive(url: &str) -> Result<()> {
    for round in 0..3 {
        let mut child = Command::new(env::current_exe()?)
            .env(CHILD, url)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut answered: HashSet<String> = lines.by_ref().take(150).collect::<Result<_, _>>()?;
        child.kill()?;
        child.wait()?;
        // What was said before the kill and not read yet; a last line may be cut short.
        let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
        answered.extend(rest.into_iter().filter(|line| line.ends_with('.')));
        let stored = runtime()?.block_on(stored(url))?;
        let lost: Vec<_> = answered.difference(&stored).collect();
        ensure!(answered.len() >= 150, "the writer ended early");
        ensure!(
            lost.is_empty(),
            "round {round}: answered and lost: {lost:?}"
        );
    }
    Ok(())
}

async fn stored(url: &str) -> Result<HashSet<String>> {
    let db = Db::open(url, MIGRATIONS).await?;
    let rows = db.rows("SELECT id FROM written", args![]).await?;
    Ok(rows
        .iter()
        .map(|row| row.text("id"))
        .collect::<store::Result<_>>()?)
}

/// Many writers at once, each of which says what it was answered.
async fn write_until_killed(url: &str) -> Result<()> {
    let db = Db::open(url, MIGRATIONS).await?;
    let round = env::var(ROUND)?;
    let writers = (0..16).map(|writer| {
        let (db, round) = (db.clone(), round.clone());
        tokio::spawn(async move {
            for n in 0.. {
                let id = format!("{round}-{writer}-{n}.");
                db.write_with(id.clone(), |tx, id| {
                    Box::pin(tx.execute("INSERT INTO written (id) VALUES ($1)", args![id]))
                })
                .await?;
                println!("{id}");
            }
            Ok::<_, store::Error>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

const CHILD: &str = "STORE_CRASH_URL";
const ROUND: &str = "STORE_CRASH_ROUND";
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "written",
    sql: "CREATE TABLE written (id TEXT PRIMARY KEY)",
}];
