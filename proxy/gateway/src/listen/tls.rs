//! Certificates of TLS listeners: chosen by server name, swapped whole at a reload.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    client::verify_server_name,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The certificates of one listener, in force from the next handshake on.
pub(crate) struct Certificates(ArcSwap<Chosen>);

/// PEM files of one certificate.
#[derive(Debug, Clone)]
pub(crate) struct Pem {
    /// The chain, leaf first.
    pub(crate) chain: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", file.display())]
pub(crate) struct TlsProblem {
    file: PathBuf,
    why: String,
}

/// In the order of the settings; the first is the default.
#[derive(Debug)]
struct Chosen(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// Loads chains and keys from PEM files; the first is for clients that name no host, or one that no other is for.
    pub(crate) fn load(files: &[Pem]) -> Result<Arc<Self>, Vec<TlsProblem>> {
        Chosen::load(files).map(|chosen| Arc::new(Self(ArcSwap::from_pointee(chosen))))
    }

    /// Puts other files' certificates in force.
    pub(crate) fn replace(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub(super) fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().for_name(hello.server_name())
    }
}

impl Chosen {
    fn load(files: &[Pem]) -> Result<Self, Vec<TlsProblem>> {
        let mut chosen = Vec::with_capacity(files.len());
        let mut problems = Vec::new();
        for file in files {
            match certified(file) {
                Ok(certified) => chosen.push(Arc::new(certified)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self(chosen))
        } else {
            Err(problems)
        }
    }

    /// The first certificate that is valid for the name, else the first of all.
    fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let fitting = name
            .and_then(|name| ServerName::try_from(name).ok())
            .and_then(|name| self.0.iter().find(|certified| is_for(certified, &name)));
        fitting.or(self.0.first()).cloned()
    }
}

fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    certified
        .cert
        .first()
        .and_then(|leaf| ParsedCertificate::try_from(leaf).ok())
        .is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

fn certified(file: &Pem) -> Result<CertifiedKey, TlsProblem> {
    let problem = |path: &PathBuf, why: String| TlsProblem {
        file: path.clone(),
        why,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&file.chain)
        .and_then(Iterator::collect)
        .map_err(|error| problem(&file.chain, error.to_string()))?;
    if chain.is_empty() {
        return Err(problem(&file.chain, "holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&file.key)
        .map_err(|error| problem(&file.key, error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| problem(&file.key, error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|error| problem(&file.key, error.to_string()))?;
    Ok(certified)
}
