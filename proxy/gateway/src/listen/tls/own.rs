//! Certificates of a listener's own, chosen by server name.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    client::verify_server_name,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use settings::Certificate;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{TlsProblem, certificate};

/// In the order of the settings; the first is for clients that name no host, or one that no other is for.
#[derive(Debug)]
pub(super) struct Own(Vec<Loaded>);

/// A certificate with its key, and where it was read.
#[derive(Debug)]
struct Loaded {
    file: PathBuf,
    certified: Arc<CertifiedKey>,
    /// Where it can be read.
    validity: Option<(SystemTime, SystemTime)>,
}

impl Own {
    /// Loads chains and keys from PEM files.
    pub(super) fn load(files: &[Certificate]) -> Result<Self, Vec<TlsProblem>> {
        let mut own = Vec::with_capacity(files.len());
        let mut problems = Vec::new();
        for file in files {
            match certified(file) {
                Ok(certified) => own.push(Loaded {
                    file: file.cert.clone(),
                    validity: certified
                        .cert
                        .first()
                        .and_then(|leaf| certificate::validity(leaf)),
                    certified: Arc::new(certified),
                }),
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
            .and_then(|name| self.0.iter().find(|one| is_for(&one.certified, &name)));
        let found = fitting.or(self.0.first())?;
        Some(found.certified.clone())
    }

    /// Those that nobody may take at this time.
    pub(super) fn untimely(&self, now: SystemTime) -> impl Iterator<Item = TlsProblem> {
        self.0.iter().filter_map(move |one| one.untimely(now))
    }

    /// Those that nobody may take at this time, and that these here are not.
    pub(super) fn spoiling(&self, fresh: &Self, now: SystemTime) -> Vec<TlsProblem> {
        let is_ours = |one: &&Loaded| {
            let mut ours = self.0.iter();
            ours.any(|ours| ours.certified.cert == one.certified.cert)
        };
        let new = fresh.0.iter().filter(|one| !is_ours(one));
        new.filter_map(|one| one.untimely(now)).collect()
    }
}

impl Loaded {
    /// Why nobody may take it at this time, if so.
    fn untimely(&self, now: SystemTime) -> Option<TlsProblem> {
        let (begin, end) = self.validity?;
        let (what, when) = if now > end {
            ("the certificate expired at", end)
        } else if now < begin {
            ("the certificate is not valid before", begin)
        } else {
            return None;
        };
        let when = OffsetDateTime::from(when).format(&Rfc3339);
        let why = format!("{what} {}", when.unwrap_or_default());
        Some(TlsProblem::Own {
            file: self.file.clone(),
            why,
        })
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
