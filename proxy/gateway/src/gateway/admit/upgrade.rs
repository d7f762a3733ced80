//! Requests that ask to go on in another protocol: WebSocket is the one that there is. Any other is ignored, as RFC 9110
//! section 7.8 lets a server do, and the request is answered as one of HTTP.

use http::{HeaderMap, Method, Version, header};

use super::Raw;

/// Whether a request asks for WebSocket (RFC 6455 section 4.1): on HTTP/1.1, without a body, and for nothing else beside it.
pub(super) fn asks_websocket(raw: &Raw<'_>) -> bool {
    names_websocket(raw.headers)
        && *raw.method == Method::GET
        && raw.version == Version::HTTP_11
        && has_option(raw.headers)
        && !raw.headers.contains_key(header::CONTENT_LENGTH)
        && !raw.headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether `Upgrade` names WebSocket and nothing else.
pub(crate) fn names_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let upgrade = upgrades.next();
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
}

/// Whether `Connection` says that `Upgrade` is meant for this hop.
fn has_option(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|octet| *octet == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn asks(method: &Method, version: Version, fields: &[(&str, &str)]) -> bool {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                let _: bool = all.append::<http::HeaderName>(name, value);
                all
            });
        asks_websocket(&Raw {
            method,
            version,
            target: b"/",
            authority: None,
            headers: &headers,
            head: None,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: false,
        })
    }

    #[test]
    fn only_whole_handshakes_of_websocket_count() {
        let get = Method::GET;
        let upgrade = ("upgrade", "WebSocket");
        let option = ("connection", "keep-alive, Upgrade");
        assert!(asks(&get, Version::HTTP_11, &[upgrade, option]));
        assert!(!asks(&get, Version::HTTP_10, &[upgrade, option]));
        assert!(!asks(&Method::POST, Version::HTTP_11, &[upgrade, option]));
        assert!(!asks(&get, Version::HTTP_11, &[upgrade]));
        assert!(!asks(&get, Version::HTTP_11, &[option]));
        for other in ["h2c", "websocket, h2c", "websocket/13", ""] {
            assert!(!asks(&get, Version::HTTP_11, &[("upgrade", other), option]));
        }
        for more in [
            upgrade,
            ("content-length", "0"),
            ("transfer-encoding", "chunked"),
        ] {
            assert!(
                !asks(&get, Version::HTTP_11, &[upgrade, option, more]),
                "{more:?}"
            );
        }
    }
}
