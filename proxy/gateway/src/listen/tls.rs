//! The TLS of listeners, swapped whole at a reload: certificates of their own, and who vouches for those of callers.

mod callers;
mod certificate;
mod own;
mod shown;
mod subject;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use pingora::{
    Error, ErrorType,
    listeners::tls::Acceptor,
    protocols::{
        Ssl as _,
        l4::stream::Stream,
        tls::{TlsRef, TlsStream},
    },
};
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, ResolvesServerCert, danger::ClientCertVerifier},
};

use crate::status::Degraded;
use callers::Callers;
use own::Own;
pub(crate) use shown::{Outdated, Shown};

/// The TLS of one listener, in force from the next handshake on.
pub(crate) struct Tls(ArcSwap<InForce>);

/// What is in force at one time.
struct InForce {
    config: Arc<ServerConfig>,
    own: Arc<Own>,
    /// Who vouches for callers; absent where none are asked for certificates.
    callers: Option<Arc<Callers>>,
}

/// What cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsProblem {
    /// A certificate of the listener's own, or its key.
    #[error("{}: {why}", file.display())]
    Own { file: PathBuf, why: String },
    /// Authorities of callers, or their revocation lists.
    #[error("client certificates: {0}")]
    Callers(String),
}

impl From<TlsProblem> for Degraded {
    fn from(problem: TlsProblem) -> Self {
        Self {
            what: "listeners".into(),
            why: problem.to_string(),
        }
    }
}

impl Tls {
    /// Loads what a listener's settings name.
    pub(crate) fn load(settings: &settings::Tls) -> Result<Arc<Self>, Vec<TlsProblem>> {
        InForce::load(settings).map(|loaded| Arc::new(Self(ArcSwap::from_pointee(loaded))))
    }

    /// Puts another's in force. Connections that are open are held against it at their next request.
    pub(crate) fn replace(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// Certificates of its own that are expired or not valid yet.
    pub(crate) fn invalid(&self, now: SystemTime) -> Vec<TlsProblem> {
        self.0.load().own.invalid(now).collect()
    }

    /// Certificates of another that are expired or not valid yet, but for those in force here already, which get no worse.
    pub(crate) fn newly_invalid(&self, other: &Self, now: SystemTime) -> Vec<TlsProblem> {
        self.0.load().own.newly_invalid(&other.0.load().own, now)
    }

    /// When the first certificate of another that is not valid yet, and not in force here, is.
    pub(crate) fn valid_from(&self, other: &Self, now: SystemTime) -> Option<SystemTime> {
        self.0.load().own.valid_from(&other.0.load().own, now)
    }

    /// Shakes hands.
    pub(super) async fn accept(
        self: &Arc<Self>,
        stream: Stream,
    ) -> pingora::Result<(TlsStream<Stream>, Shown)> {
        let in_force = self.0.load_full();
        let acceptor = Acceptor::from_server_config(in_force.config.clone());
        let stream = acceptor.tls_handshake(stream).await?;
        let chain = stream.get_ssl().and_then(TlsRef::peer_cert_chain_der);
        let shown = Shown::new(self, in_force, chain.unwrap_or_default());
        let shown = shown.map_err(|error| {
            Error::because(
                ErrorType::TLSHandshakeFailure,
                "a caller's certificate",
                error,
            )
        })?;
        Ok((stream, shown))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl InForce {
    fn load(settings: &settings::Tls) -> Result<Self, Vec<TlsProblem>> {
        let own = Own::load(&settings.certificates);
        let callers = settings.client_certificates.as_ref();
        let callers = callers.map(Callers::load).transpose();
        match (own, callers) {
            (Ok(own), Ok(callers)) => {
                let (own, callers) = (Arc::new(own), callers.map(Arc::new));
                let config = Arc::new(config(own.clone(), callers.as_ref()));
                Ok(Self {
                    config,
                    own,
                    callers,
                })
            }
            (own, callers) => {
                let mut problems = own.err().unwrap_or_default();
                problems.extend(callers.err().map(TlsProblem::Callers));
                Err(problems)
            }
        }
    }
}

/// The names of a certificate, where they can be read.
pub(crate) fn check_certificate(octets: &[u8]) -> Option<decision::Certificate> {
    certificate::read(octets).ok().map(|(names, _)| names)
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
fn config(own: Arc<Own>, callers: Option<&Arc<Callers>>) -> ServerConfig {
    let own: Arc<dyn ResolvesServerCert> = own;
    let builder = ServerConfig::builder();
    let mut config = match callers {
        None => builder.with_no_client_auth().with_cert_resolver(own),
        Some(callers) => {
            let callers: Arc<dyn ClientCertVerifier> = callers.clone();
            let mut config = builder
                .with_client_cert_verifier(callers)
                .with_cert_resolver(own);
            // A session that is resumed has the certificate of its first handshake, and nobody verifies it again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
