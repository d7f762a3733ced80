//! `cargo xtask ledger`: the state of each operation, as the tables of the `api` package say it.

use std::process::Command;

use anyhow::{Context as _, ensure};

/// Runs the `ledger` example of `portcullis-api`.
///
/// It is run, not linked: `xtask` must build while the generated code that `api` depends on does not.
pub(crate) fn run(write: bool) -> anyhow::Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "run",
        "--quiet",
        "--package",
        "portcullis-api",
        "--example",
        "ledger",
    ]);
    if write {
        cargo.args(["--", "--write"]);
    }
    let status = cargo.status().context("cargo does not start")?;
    ensure!(status.success(), "the ledger could not be printed");
    Ok(())
}
