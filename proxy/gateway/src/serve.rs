//! A running gate: settings, engine, listeners and their runtimes, from start to end.

mod http;
mod limits;
mod pools;
mod process;
mod runtimes;
mod signals;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use engine::IssuerForm;
use settings::Settings;

use crate::{
    admin,
    listen::{Bound, Certificates, Pem},
};

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

/// Every socket of the settings, bound.
struct Sockets {
    bound: Vec<Bound>,
    certificates: Vec<Option<Arc<Certificates>>>,
    admin: Option<(TcpListener, SocketAddr)>,
}

impl Sockets {
    fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let failed = |address: &SocketAddr| format!("cannot listen on {address}");
        let certificates = certificates(settings)?;
        let bind = |(listener, certificates): (&settings::Listener, &Option<Arc<Certificates>>)| {
            let bound = Bound::bind(listener.address, certificates.clone());
            bound.with_context(|| failed(&listener.address))
        };
        let bound = settings
            .listeners
            .iter()
            .zip(&certificates)
            .map(bind)
            .collect::<Result<_, _>>()?;
        let admin = settings
            .admin
            .map(|address| admin::bind(address).with_context(|| failed(&address)))
            .transpose()?;
        Ok(Self {
            bound,
            certificates,
            admin,
        })
    }
}
