//! `portcullis backup`: an online copy of the SQLite store.

use std::path::Path;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

/// Copies the store that the settings name, while it is in use or not.
pub(super) fn run(file: &Path, out: &Path) -> anyhow::Result<()> {
    let settings = settings::load(file)?;
    let pools = settings.pools.with_context(|| {
        let file = file.display();
        format!("`{file}` has no `pools`, so there is no store to copy")
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime
        .block_on(store::Db::backup(pools.secrets.store.expose_secret(), out))
        .with_context(|| format!("cannot copy the store to `{}`", out.display()))?;
    let bytes = std::fs::metadata(out)?.len();
    println!("{}", out.display());
    eprintln!(
        "portcullis: the store is copied, {bytes} bytes; it can only be read with its seal key (`pools.seal`), which is not \
         in it: keep a copy of that elsewhere"
    );
    Ok(())
}
