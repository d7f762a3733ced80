//! Certificates and keys in PEM files.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use crate::{Place, check::Check, secret, written::Certificate};

/// A chain, leaf first, and its key.
pub(crate) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads a chain and the key that belongs to it, or reports why not.
pub(crate) fn pair(files: &Certificate, place: &Place, check: &mut Check<'_>) -> Option<Pair> {
    secret::check_private(&files.key, &place.key("key"), check);
    let chain = chain(&files.cert).map_err(|message| check.report(&place.key("cert"), message));
    let key = key(&files.key).map_err(|message| check.report(&place.key("key"), message));
    let (chain, key) = (chain.ok()?, key.ok()?);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        Ok(_) => Some((chain, key)),
        Err(error) => {
            check.report(
                place,
                format!("certificate and key cannot be used together: {error}"),
            );
            None
        }
    }
}

/// Reads certificates of authorities, or says why not.
pub(crate) fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let authorities = chain(file)?;
    let mut store = RootCertStore::empty();
    for authority in &authorities {
        let added = store.add(authority.clone());
        added.map_err(|error| {
            let file = file.display();
            format!("`{file}` holds no authority: {error}")
        })?;
    }
    Ok(authorities)
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(not_pem(file, "certificate", &pem::Error::NoItemsFound))
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(not_pem(file, "certificate", &error)),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| not_pem(file, "private key", &error))
}

/// In words of our own: the library's quote the file, which may be a key.
pub(crate) fn not_pem(file: &Path, wanted: &str, error: &pem::Error) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => format!("`{file}` cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("`{file}` holds no PEM {wanted}"),
        _ => format!("`{file}` is not whole PEM"),
    }
}
