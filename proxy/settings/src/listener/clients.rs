//! Certificates of callers: who vouches for them, checked and put to use.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{
        CertificateRevocationListDer,
        pem::{Error::NoItemsFound, PemObject as _},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{
    Place,
    check::Check,
    pem::{self, not_pem},
    written::{ClientCertificateMode, ClientCertificates},
};

pub(super) fn check(clients: &mut ClientCertificates, place: &Place, check: &mut Check<'_>) {
    let list = place.key("ca");
    if check.is_empty(&list) {
        check.report(
            &list,
            "name at least one file of authorities, or leave `client_certificates` out",
        );
    }
    let mut roots = RootCertStore::empty();
    for (file, place) in clients.ca.iter_mut().zip(check.items(&list)) {
        *file = check.file(file);
        if let Err(message) = add_authorities(&mut roots, file) {
            check.report(&place, message);
        }
    }
    let list = place.key("crl");
    for (file, place) in clients.crl.iter_mut().zip(check.items(&list)) {
        *file = check.file(file);
        if let Err(message) = lists(file).and_then(|lists| check_lists(&roots, lists, file)) {
            check.report(&place, message);
        }
    }
}

impl ClientCertificates {
    /// What verifies certificates of callers, by what the files hold now.
    pub fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let mut roots = RootCertStore::empty();
        for file in &self.ca {
            add_authorities(&mut roots, file)?;
        }
        let mut revoked = Vec::new();
        for file in &self.crl {
            revoked.extend(lists(file)?);
        }
        build(roots, revoked, self.mode)
    }

    /// Whether nobody may connect without one.
    pub fn are_required(&self) -> bool {
        self.mode == ClientCertificateMode::Required
    }
}

fn add_authorities(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    for authority in pem::authorities(file)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn lists(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let wanted = "revocation list";
    let lists = CertificateRevocationListDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| not_pem(file, wanted, &error))?;
    if lists.is_empty() {
        return Err(not_pem(file, wanted, &NoItemsFound));
    }
    Ok(lists)
}

/// Without an authority nothing can be built, and why was told.
fn check_lists(
    roots: &RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
    file: &Path,
) -> Result<(), String> {
    if roots.is_empty() {
        return Ok(());
    }
    build(roots.clone(), lists, ClientCertificateMode::Required)
        .map(|_| ())
        .map_err(|error| format!("`{}` is no revocation list: {error}", file.display()))
}

fn build(
    roots: RootCertStore,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    mode: ClientCertificateMode,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let provider = Arc::new(default_provider());
    // Unsure means deny: what no list speaks of, or only one that is out of date, is not taken.
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(revoked)
        .enforce_revocation_expiration();
    let builder = match mode {
        ClientCertificateMode::Required => builder,
        ClientCertificateMode::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| error.to_string())
}
