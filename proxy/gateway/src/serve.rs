//! A running gate: settings, engine, listeners and their runtimes, from start to end.

mod process;
mod signals;

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use engine::IssuerForm;
use settings::Settings;

use crate::listen::{Bound, Certificates, Pem};

pub(crate) use process::Process;

/// What the command line says against the settings; holds for every reload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// Where the only listener listens.
    pub(crate) listen: Option<SocketAddr>,
    /// Where the admin listener listens.
    pub(crate) admin: Option<SocketAddr>,
    /// What stands in `iss`.
    pub(crate) issuer: Option<IssuerForm>,
    /// Whether `public_url` is where the gate listens, whatever the settings say.
    pub(crate) public_url_follows: bool,
}

impl Overrides {
    /// Puts them over the settings.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        if let (Some(address), Some(listener)) = (self.listen, settings.listeners.first_mut()) {
            listener.address = address;
        }
        if self.admin.is_some() {
            settings.admin = self.admin;
        }
        if let (Some(issuer), Some(pools)) = (self.issuer, &mut settings.pools) {
            pools.config.issuer = issuer;
        }
    }
}

/// `portcullis serve`.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    let process = Process::start(file, Overrides::default())?;
    process.announce()?;
    process.run()
}

/// The certificates of each listener that speaks TLS.
pub(crate) fn certificates(settings: &Settings) -> anyhow::Result<Vec<Option<Arc<Certificates>>>> {
    let load = |listener: &settings::Listener| {
        let Some(tls) = &listener.tls else {
            return Ok(None);
        };
        let pem = |files: &settings::Certificate| Pem {
            chain: files.cert.clone(),
            key: files.key.clone(),
        };
        let files: Vec<_> = tls.certificates.iter().map(pem).collect();
        Certificates::load(&files).map(Some).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("; "))
        })
    };
    settings.listeners.iter().map(load).collect()
}

/// Binds every listener.
fn bind(
    settings: &Settings,
    certificates: &[Option<Arc<Certificates>>],
) -> anyhow::Result<Vec<Bound>> {
    let bind = |(listener, certificates): (&settings::Listener, &Option<Arc<Certificates>>)| {
        Bound::bind(listener.address, certificates.clone())
            .with_context(|| format!("cannot listen on {}", listener.address))
    };
    settings
        .listeners
        .iter()
        .zip(certificates)
        .map(bind)
        .collect()
}
