//! `portcullis dev`: everything with no configuration. Writes settings and policies once, then is `serve` on them, beside a
//! small pet store to forward to.

mod files;
mod petstore;

use std::path::Path;

use anyhow::Context as _;
use engine::IssuerForm;

use crate::{
    cli::{self, Dev},
    serve::{Overrides, Process},
};

/// Runs until a signal ends it.
pub(crate) fn run(dev: &Dev) -> anyhow::Result<()> {
    let store =
        files::prepare(dev).with_context(|| format!("cannot prepare `{}`", dev.data.display()))?;
    let overrides = Overrides {
        listen: dev.listen,
        admin: dev.admin,
        issuer: dev.issuer.map(|form| match form {
            cli::IssuerForm::PublicUrl => IssuerForm::PublicUrl,
            cli::IssuerForm::Aws => IssuerForm::Aws,
        }),
        public_url_follows: true,
    };
    let process = Process::start(&dev.data.join(files::SETTINGS), overrides)?;
    if let Some(socket) = store {
        process.beside(petstore::serve(socket));
    }
    files::write_environment(&dev.data, &process)?;
    process.announce()?;
    greet(&dev.data, process.public_url());
    process.run()
}

fn greet(data: &Path, url: &str) {
    let environment = data.join(files::ENVIRONMENT);
    eprintln!(
        "portcullis: {url} is up; `source {}` and follow the README",
        environment.display()
    );
}
