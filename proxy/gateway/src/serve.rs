//! A running gate: settings, engine, listeners and their runtimes, from start to end.

mod http;
mod limits;
mod pools;
mod process;
mod runtimes;
mod signals;
mod upgrade;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use engine::IssuerForm;
use settings::Settings;

use crate::{
    admin,
    listen::{Bound, Certificates, Pem, Senders, listening},
};

pub(crate) use pools::router;
pub(crate) use process::Process;
pub(crate) use upgrade::Inherited;
use upgrade::Listens;

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

/// `portcullis serve`; with what another process hands on, in the place of that one.
pub(crate) fn run(file: &Path, inherited: Option<Inherited>) -> anyhow::Result<()> {
    let process = Process::start(file, Overrides::default(), inherited)?;
    process.announce()?;
    process.run()
}

/// A listener of the settings, and its certificates where it speaks TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Option<Arc<Certificates>>,
}

/// Each listener with its certificates.
pub(crate) fn certificates(settings: &Settings) -> anyhow::Result<Vec<Secured>> {
    let load = |listener: &settings::Listener| {
        let address = listener.address;
        let Some(tls) = &listener.tls else {
            return Ok(Secured {
                address,
                certificates: None,
            });
        };
        let pem = |files: &settings::Certificate| Pem {
            chain: files.cert.clone(),
            key: files.key.clone(),
        };
        let files: Vec<_> = tls.certificates.iter().map(pem).collect();
        let loaded = Certificates::load(&files).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("; "))
        });
        Ok(Secured {
            address,
            certificates: Some(loaded?),
        })
    };
    settings.listeners.iter().map(load).collect()
}

/// Why an address cannot be listened on, and what to do about it.
fn cannot_listen(
    address: SocketAddr,
    error: io::Error,
    setting: &str,
    option: &str,
) -> anyhow::Error {
    let elsewhere = format!("name another address: `{setting}` in the settings, or `dev {option}`");
    let todo = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop what listens there already (`ss -ltnp` lists it), or {elsewhere}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine does not have that address; {elsewhere}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need CAP_NET_BIND_SERVICE; give it, or {elsewhere}")
        }
        _ => elsewhere,
    };
    anyhow::Error::new(error).context(format!("cannot listen on `{address}`: {todo}"))
}

/// Every socket of the settings, bound.
struct Sockets {
    bound: Vec<Bound>,
    certificates: Vec<Secured>,
    admin: Option<(TcpListener, SocketAddr)>,
}

impl Sockets {
    /// Those that were handed on are taken over.
    fn bind(settings: &Settings, mut inherited: Option<&mut Inherited>) -> anyhow::Result<Self> {
        let certificates = certificates(settings)?;
        let mut handed = |listens| inherited.as_mut()?.take(listens);
        let bind = |(listener, secured): (&settings::Listener, &Secured)| {
            let senders = listener.proxy_protocol.as_ref().map(Senders::of);
            let socket = match handed(Listens::Gate(listener.address)) {
                Some(socket) => Ok(socket),
                None => listening(listener.address),
            };
            let certificates = secured.certificates.clone();
            let bound = socket.and_then(|socket| Bound::of(socket, certificates, senders));
            bound.map_err(|error| cannot_listen(listener.address, error, "listeners", "--listen"))
        };
        let bound = settings
            .listeners
            .iter()
            .zip(&certificates)
            .map(bind)
            .collect::<Result<_, _>>()?;
        let admin = settings
            .admin
            .map(|address| {
                let bound = match handed(Listens::Admin(address)) {
                    Some(socket) => socket.local_addr().map(|at| (socket, at)),
                    None => admin::bind(address),
                };
                bound.map_err(|error| cannot_listen(address, error, "admin", "--admin"))
            })
            .transpose()?;
        Ok(Self {
            bound,
            certificates,
            admin,
        })
    }
}
