//! Listeners and their certificates, checked.

mod clients;

use ipnet::IpNet;

use crate::{Place, check::Check, pem, written::Listener};

/// Whether requests come to routes over TLS, or can only come so, as trusted peers say it.
pub(crate) fn serve_https(listeners: &[Listener]) -> bool {
    listeners
        .iter()
        .any(|listener| listener.tls.is_some() || listener.redirect.is_some())
}

pub(crate) fn check(
    mut listeners: Vec<Listener>,
    trusted_peers: &[IpNet],
    check: &mut Check<'_>,
) -> Vec<Listener> {
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
        if listener.redirect.is_some() && listener.tls.is_some() {
            check.report(
                &place.key("redirect"),
                "callers of this listener use TLS already; say it of one without `tls`",
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
        if let Some(clients) = &mut tls.client_certificates {
            clients::check(clients, &place.key("tls").key("client_certificates"), check);
        }
    }
    check_any_serves(&listeners, trusted_peers, &list, check);
    listeners
}

/// Whether any listener asks for certificates, right or wrong.
pub(crate) fn ask_for_certificates(check: &Check<'_>) -> bool {
    let list = Place::from("listeners");
    let mut listeners = check.written.positions(&list).into_iter();
    listeners.any(|at| {
        let tls = list.index(at).key("tls");
        check.is_written(&tls.key("client_certificates"))
    })
}

/// Where all that comes is sent elsewhere, routes are there for nothing.
fn check_any_serves(
    listeners: &[Listener],
    trusted_peers: &[IpNet],
    list: &Place,
    check: &mut Check<'_>,
) {
    let redirects = |listener: &Listener| listener.redirect.is_some() && listener.tls.is_none();
    if !listeners.is_empty() && listeners.iter().all(redirects) && trusted_peers.is_empty() {
        check.report(
            list,
            "all of them redirect, so routes get no request; add one with `tls`, or the load balancer that speaks TLS to \
             `trusted_peers`",
        );
    }
}
