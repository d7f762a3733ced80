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
    /// From its first second to its last, where that can be read.
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

    /// Those that are expired or not valid yet.
    pub(super) fn invalid(&self, now: SystemTime) -> impl Iterator<Item = TlsProblem> {
        self.0.iter().filter_map(move |one| one.invalid(now))
    }

    /// Those of another that are expired or not valid yet, but for those in the same place here already.
    pub(super) fn newly_invalid(&self, fresh: &Self, now: SystemTime) -> Vec<TlsProblem> {
        let new = self.changed(fresh);
        new.filter_map(|one| one.invalid(now)).collect()
    }

    /// When the first of those that are not valid yet is.
    pub(super) fn valid_from(&self, fresh: &Self, now: SystemTime) -> Option<SystemTime> {
        let begins = self
            .changed(fresh)
            .filter_map(|one| Some(one.validity?.0).filter(|begin| *begin > now));
        begins.min()
    }

    /// Those of another that are not the ones in the same place here. An intermediate that changes is the authority's affair.
    fn changed<'f>(&self, fresh: &'f Self) -> impl Iterator<Item = &'f Loaded> {
        fresh.0.iter().enumerate().filter_map(|(at, one)| {
            let ours = self.0.get(at).map(Loaded::leaf);
            (ours != Some(one.leaf())).then_some(one)
        })
    }
}

impl Loaded {
    fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }

    /// Says so where it is expired or not valid yet, or where that cannot be read.
    fn invalid(&self, now: SystemTime) -> Option<TlsProblem> {
        let why = match self.validity {
            None => "it cannot be read how long the certificate is valid".to_owned(),
            Some((_, end)) if now > end => format!("the certificate expired at {}", told(end)),
            Some((begin, _)) if now < begin => {
                format!("the certificate is not valid before {}", told(begin))
            }
            Some(_) => return None,
        };
        Some(TlsProblem::Own {
            file: self.file.clone(),
            why,
        })
    }
}

/// As RFC 3339 has it.
fn told(time: SystemTime) -> String {
    let told = OffsetDateTime::from(time).format(&Rfc3339);
    told.unwrap_or_default()
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
