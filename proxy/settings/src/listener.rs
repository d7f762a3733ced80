//! Listeners and their certificates, checked.

use crate::{Place, check::Check, pem, written::Listener};

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
            pem::pair(certificate, &place, check);
        }
    }
    listeners
}
