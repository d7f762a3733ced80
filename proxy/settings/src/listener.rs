//! Listeners and their certificates, checked.

use std::path::Path;

use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

use crate::{
    Place,
    check::Check,
    secret,
    written::{Certificate, Listener},
};

pub(crate) fn check(mut listeners: Vec<Listener>, check: &mut Check<'_>) -> Vec<Listener> {
    let list = Place::from("listeners");
    if check.is_empty(&list) {
        check.report(&list, "name at least one, as `- {address: 0.0.0.0:8080}`");
    }
    for (listener, place) in listeners.iter_mut().zip(check.items(&list)) {
        let senders = place.key("proxy_protocol").key("from");
        if listener.proxy_protocol.is_some() && check.is_empty(&senders) {
            check.report(
                &senders,
                "name at least one load balancer, or leave `proxy_protocol` out",
            );
        }
        let Some(tls) = &mut listener.tls else {
            continue;
        };
        let list = place.key("tls").key("certificates");
        if check.is_empty(&list) {
            check.report(&list, "name at least one certificate, or leave `tls` out");
        }
        for (certificate, place) in tls.certificates.iter_mut().zip(check.items(&list)) {
            certificate.cert = check.file(&certificate.cert);
            certificate.key = check.file(&certificate.key);
            check_pair(certificate, &place, check);
        }
    }
    listeners
}

fn check_pair(files: &Certificate, place: &Place, check: &mut Check<'_>) {
    secret::check_private(&files.key, &place.key("key"), check);
    let chain = chain(&files.cert).map_err(|message| check.report(&place.key("cert"), message));
    let key = key(&files.key).map_err(|message| check.report(&place.key("key"), message));
    let (Ok(chain), Ok(key)) = (chain, key) else {
        return;
    };
    if let Err(error) =
        CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
    {
        check.report(
            place,
            format!("certificate and key cannot be used together: {error}"),
        );
    }
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
fn not_pem(file: &Path, wanted: &str, error: &pem::Error) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => format!("`{file}` cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("`{file}` holds no PEM {wanted}"),
        _ => format!("`{file}` is not whole PEM"),
    }
}
