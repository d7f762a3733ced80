//! A request as it was sent: what stands in it, and who sent it.

use std::net::{IpAddr, Ipv4Addr};

use pingora::{protocols::http::v1::server::HttpSession, proxy::Session};

use super::super::admit::Raw;

/// The request as it was sent.
pub(crate) fn raw(session: &Session, peer: IpAddr) -> Raw<'_> {
    let sent = session.req_header();
    let digest = session.digest();
    Raw {
        method: &sent.method,
        version: sent.version,
        target: sent.raw_path(),
        authority: sent.uri.authority().map(http::uri::Authority::as_str),
        headers: &sent.headers,
        head: session.as_http1().map(HttpSession::get_headers_raw_bytes),
        peer,
        tls: digest.is_some_and(|digest| digest.ssl_digest.is_some()),
    }
}

/// Who is at the other end of the connection.
pub(in crate::gateway) fn peer(session: &Session) -> IpAddr {
    let address = session.client_addr().and_then(|address| address.as_inet());
    // Listeners are TCP, so the address is there; an unspecified one is trusted by nobody.
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| {
        address.ip().to_canonical()
    })
}
