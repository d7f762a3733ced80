//! Certificates of a listener's own, chosen by server name.

use std::{path::Path, sync::Arc};

use rustls::{
    client::verify_server_name,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use settings::Certificate;

use super::TlsProblem;

/// In the order of the settings; the first is for clients that name no host, or one that no other is for.
#[derive(Debug)]
pub(super) struct Own(Vec<Arc<CertifiedKey>>);

impl Own {
    /// Loads chains and keys from PEM files.
    pub(super) fn load(files: &[Certificate]) -> Result<Self, Vec<TlsProblem>> {
        let mut own = Vec::with_capacity(files.len());
        let mut problems = Vec::new();
        for file in files {
            match certified(file) {
                Ok(certified) => own.push(Arc::new(certified)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self(own))
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

impl ResolvesServerCert for Own {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name())
    }
}

fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    certified
        .cert
        .first()
        .and_then(|leaf| ParsedCertificate::try_from(leaf).ok())
        .is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

fn certified(files: &Certificate) -> Result<CertifiedKey, TlsProblem> {
    let problem = |file: &Path, why: String| TlsProblem::Own {
        file: file.to_owned(),
        why,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| problem(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(problem(&files.cert, "holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| problem(&files.key, error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| problem(&files.key, error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|error| problem(&files.key, error.to_string()))?;
    Ok(certified)
}
