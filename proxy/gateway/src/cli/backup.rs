//! `portcullis backup`: an online copy of the SQLite store.

use std::path::Path;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

/// Copies the store that the settings name, while it is in use or not.
pub(super) fn run(file: &Path, out: &Path) -> anyhow::Result<()> {
    let settings = settings::load(file)?;
    let pools = settings
        .pools
        .context("the settings name no store: there is no `pools`")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(store::Db::backup(pools.secrets.store.expose_secret(), out))?;
    println!("{}", out.display());
    Ok(())
}
