//! A running gate: settings, engine, listeners and their runtimes, from start to end.

mod http;
mod limits;
mod pools;
mod process;
mod running;
mod runtimes;
mod signals;
mod upgrade;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use engine::IssuerForm;
use settings::Settings;

use crate::{
    admin,
    listen::{Bound, Senders, Tls, TlsProblem, listening},
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

/// A listener of the settings, and its TLS where it speaks that.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Each listener with its certificates, and with who vouches for those of callers.
pub(crate) fn secured(settings: &Settings) -> anyhow::Result<Vec<Secured>> {
    let load = |tls: &settings::Tls| {
        Tls::load(tls).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("; "))
        })
    };
    let listeners = settings.listeners.iter();
    listeners
        .map(|listener| {
            Ok(Secured {
                address: listener.address,
                tls: listener.tls.as_ref().map(load).transpose()?,
            })
        })
        .collect()
}

/// Certificates of listeners that are expired or not valid yet.
pub(crate) fn invalid(secured: &[Secured], now: SystemTime) -> impl Iterator<Item = TlsProblem> {
    let tls = secured.iter().filter_map(|one| one.tls.as_ref());
    tls.flat_map(move |tls| tls.invalid(now))
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
    secured: Vec<Secured>,
    admin: Option<(TcpListener, SocketAddr)>,
}

impl Sockets {
    /// Those that were handed on are taken over.
    fn bind(settings: &Settings, mut inherited: Option<&mut Inherited>) -> anyhow::Result<Self> {
        let all = secured(settings)?;
        let mut handed = |listens| inherited.as_mut()?.take(listens);
        let bind = |(listener, secured): (&settings::Listener, &Secured)| {
            let senders = listener.proxy_protocol.as_ref().map(Senders::of);
            let socket = match handed(Listens::Gate(listener.address)) {
                Some(socket) => Ok(socket),
                None => listening(listener.address),
            };
            let tls = secured.tls.clone();
            let redirect = listener.redirect.map(|to| to.to_https().into());
            let bound = socket.and_then(|socket| Bound::of(socket, tls, senders));
            let bound = bound.map(|bound| bound.redirecting(redirect));
            bound.map_err(|error| cannot_listen(listener.address, error, "listeners", "--listen"))
        };
        let bound = settings
            .listeners
            .iter()
            .zip(&all)
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
            secured: all,
            admin,
        })
    }
}
