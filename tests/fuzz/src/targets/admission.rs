//! A connection's bytes against a reader that takes RFC 9112 by the letter: what is admitted, both read alike.

use std::net::IpAddr;

use portcullis::probe::Reading;

use super::head::{self, Sent};
use crate::http1;

pub(super) fn run(data: &[u8]) {
    for peer in [head::STRANGER, head::BALANCER] {
        admit(data, peer.into());
    }
}

fn admit(data: &[u8], peer: IpAddr) {
    let (head, body) = match head::admission().http1(data, peer) {
        Reading::Unread => return,
        Reading::Refused { status, code } => {
            assert!(
                status.is_client_error() || status == http::StatusCode::NOT_IMPLEMENTED,
                "{status}"
            );
            assert!(!code.is_empty());
            return;
        }
        Reading::Admitted { head, body } => (head, body),
    };
    let request = http1::read(data).unwrap_or_else(|reason| panic!("admitted: {reason}"));
    let [host] = request.values("host")[..] else {
        panic!("admitted without one host");
    };
    let sent = Sent {
        method: request.method,
        target: origin_form(request.target, host),
        host,
        fields: &request.fields,
    };
    head::check(&head, &sent, peer);
    match &request.body {
        Ok(whole) => assert_eq!(&body, whole, "the body"),
        Err(reason) => assert_eq!(body, None, "{reason}"),
    }
}

/// RFC 9112 section 3.2.2: the host of an absolute form is the one that counts, so it must be the other one too.
fn origin_form<'t>(target: &'t [u8], host: &[u8]) -> &'t [u8] {
    let text = str::from_utf8(target).unwrap();
    if text.starts_with('/') {
        return target;
    }
    let (scheme, rest) = text.split_once("://").expect("another form is refused");
    assert!(matches!(&*scheme.to_ascii_lowercase(), "http" | "https"));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    assert!(rest.as_bytes()[..end].eq_ignore_ascii_case(host));
    &rest.as_bytes()[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else nothing would be held against the strict reader.
    #[test]
    fn the_corpus_is_admitted() {
        for data in [
            &include_bytes!("../../corpus/admission/get")[..],
            include_bytes!("../../corpus/admission/absolute"),
            include_bytes!("../../corpus/admission/chunked"),
            include_bytes!("../../corpus/admission/cookies"),
            include_bytes!("../../corpus/admission/hop"),
            include_bytes!("../../corpus/admission/ipv6"),
            include_bytes!("../../corpus/admission/length"),
        ] {
            let reading = head::admission().http1(data, head::STRANGER.into());
            assert!(matches!(reading, Reading::Admitted { .. }), "{reading:?}");
        }
    }
}
