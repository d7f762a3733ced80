//! `portcullis dev`: everything with no configuration. Writes settings and policies once, then is `serve` on them, beside a
//! small pet store to forward to.

mod files;
mod lock;
mod petstore;

use std::{net::TcpListener, path::Path};

use anyhow::Context as _;
use engine::IssuerForm;

use crate::{
    cli::{self, Dev},
    serve::{Overrides, Process},
};
use lock::Lock;

/// Runs until a signal ends it.
pub(crate) fn run(dev: &Dev) -> anyhow::Result<()> {
    let (_lock, store) =
        prepare(dev).with_context(|| format!("cannot prepare `{}`", dev.data.display()))?;
    let overrides = Overrides {
        listen: dev.listen,
        admin: dev.admin,
        issuer: dev.issuer.map(|form| match form {
            cli::IssuerForm::PublicUrl => IssuerForm::PublicUrl,
            cli::IssuerForm::Aws => IssuerForm::Aws,
        }),
        public_url_follows: true,
    };
    let process = Process::start(&dev.data.join(files::SETTINGS), overrides, None)?;
    if let Some(socket) = store {
        process.beside(petstore::serve(socket));
    }
    files::write_environment(&dev.data, &process)?;
    process.announce()?;
    greet(&dev.data, &process);
    process.run()
}

/// Takes the folder before anything in it is read or written.
fn prepare(dev: &Dev) -> anyhow::Result<(Lock, Option<TcpListener>)> {
    std::fs::create_dir_all(&dev.data)?;
    let lock = Lock::take(&dev.data)?;
    Ok((lock, files::prepare(dev)?))
}

fn greet(data: &Path, process: &Process) {
    let url = process.public_url().unwrap_or_default();
    let environment = data.join(files::ENVIRONMENT);
    eprintln!(
        "portcullis: {url} is up; in another terminal, `source {}` and follow the README; Ctrl-C ends this",
        environment.display()
    );
}
