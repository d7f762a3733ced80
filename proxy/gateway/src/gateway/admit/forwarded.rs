//! What trusted peers say of who is behind them: in `X-Forwarded-For` and `-Proto`, or in `Forwarded` (RFC 7239).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use settings::{Scheme, TrustedHeader};

/// Nothing is told by a peer that is not trusted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// From the client on, as far back as each hop can be read: nothing vouches for what is before one that cannot.
    pub(super) addresses: Vec<IpAddr>,
    /// How the peer itself was reached.
    pub(super) scheme: Option<Scheme>,
}

impl Told {
    /// Reads the header that trusted peers write, and no other: what they do not write, they hand on from anybody.
    pub(super) fn read(sent: &HeaderMap, by: TrustedHeader) -> Self {
        match by {
            TrustedHeader::XForwarded => Self {
                addresses: listed(sent),
                scheme: last_listed(sent),
            },
            TrustedHeader::Forwarded => hops(sent),
        }
    }
}

fn listed(sent: &HeaderMap) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for list in sent.get_all(X_FORWARDED_FOR) {
        for item in text(list).split(',') {
            match item.trim().parse::<IpAddr>() {
                Ok(address) => addresses.push(address.to_canonical()),
                Err(_) => addresses.clear(),
            }
        }
    }
    addresses
}

/// The nearest proxy's word, which stands last: what is before it may be anybody's.
fn last_listed(sent: &HeaderMap) -> Option<Scheme> {
    let last = sent.get_all(X_FORWARDED_PROTO).iter().next_back()?;
    let last = text(last).rsplit(',').next()?;
    scheme(last.trim().as_bytes())
}

/// Each hop of every `Forwarded` field, from left to right.
fn hops(sent: &HeaderMap) -> Told {
    let mut told = Told::default();
    for list in sent.get_all(header::FORWARDED) {
        for hop in split(text(list), b',') {
            let mut address = None;
            told.scheme = None;
            for pair in split(hop, b';') {
                let (name, value) = pair.trim().split_once('=').unwrap_or((pair, ""));
                let value = value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'))
                    .unwrap_or(value);
                if name.eq_ignore_ascii_case("for") {
                    address = node(value);
                } else if name.eq_ignore_ascii_case("proto") {
                    told.scheme = scheme(value.as_bytes());
                }
            }
            match address {
                Some(address) => told.addresses.push(address),
                None => told.addresses.clear(),
            }
        }
    }
    told
}

/// Parts between separators that stand in no quoted string (RFC 9110 section 5.6.4).
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                b'\\' if quoted && !was_escaped => escaped = true,
                b'"' if !was_escaped => quoted = !quoted,
                _ => {}
            }
            byte == separator && !quoted
        });
        let (part, left) = match end.and_then(|end| text.split_at_checked(end)) {
            Some((part, left)) => (part, left.get(1..)),
            None => (text, None),
        };
        rest = left;
        Some(part)
    })
}

/// An address with or without a port (RFC 7239 section 6); `None` for `unknown` and names of a proxy's own.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bracketed {
        Some(text) => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok().filter(IpAddr::is_ipv4),
    };
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    match value {
        b"https" => Some(Scheme::Https),
        b"http" => Some(Scheme::Http),
        _ => None,
    }
}

/// What is no text is no address either.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_read_from_left_to_right() {
        let read = |fields: &[&'static str]| {
            let fields = fields.iter().map(|field| HeaderValue::from_static(field));
            let sent = fields.map(|field| (header::FORWARDED, field)).collect();
            let Told { addresses, scheme } = Told::read(&sent, TrustedHeader::Forwarded);
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            (addresses.join(" "), scheme)
        };
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        for (fields, addresses, scheme) in [
            (&["for=203.0.113.9"][..], "203.0.113.9", None),
            (
                &["For=203.0.113.9;PROTO=https;by=10.0.0.1"],
                "203.0.113.9",
                https,
            ),
            (
                &["for=\"203.0.113.9:4711\";proto=http"],
                "203.0.113.9",
                http,
            ),
            (&["for=\"[2001:db8::9]:4711\""], "2001:db8::9", None),
            (&["for=\"[2001:db8::9]\""], "2001:db8::9", None),
            (&["for=\"[::ffff:203.0.113.9]\""], "203.0.113.9", None),
            (
                &["for=198.51.100.1, for=203.0.113.9"],
                "198.51.100.1 203.0.113.9",
                None,
            ),
            (
                &["for=198.51.100.1", "for=203.0.113.9"],
                "198.51.100.1 203.0.113.9",
                None,
            ),
            // The nearest proxy's word for how it was reached.
            (
                &["for=198.51.100.1;proto=https, for=203.0.113.9"],
                "198.51.100.1 203.0.113.9",
                None,
            ),
            (
                &["for=198.51.100.1, for=unknown, for=203.0.113.9"],
                "203.0.113.9",
                None,
            ),
            (&["for=198.51.100.1, by=10.0.0.1"], "", None),
            (&["for=_hidden"], "", None),
            (&["for=2001:db8::9"], "", None),
            (&["for=\"a, for=6.6.6.6\""], "", None),
            (
                &[r#"by="a;for=6.6.6.6\";for=6.6.6.6";for=203.0.113.9"#],
                "203.0.113.9",
                None,
            ),
            (&["for=\"203.0.113.9"], "", None),
            (&[""], "", None),
            (&[], "", None),
        ] {
            assert_eq!(read(fields), (addresses.to_owned(), scheme), "{fields:?}");
        }
    }

    #[test]
    fn the_nearest_proxy_says_how_it_was_reached() {
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        for (fields, expected) in [
            (&["https"][..], https),
            (&["https", "http"], http),
            (&["http", "https"], https),
            (&["https, http"], http),
            (&["http,https "], https),
            (&["https", "wss"], None),
            (&["https,"], None),
            (&[], None),
        ] {
            let fields = fields.iter().map(|field| HeaderValue::from_static(field));
            let sent = fields.map(|field| (X_FORWARDED_PROTO, field)).collect();
            let told = Told::read(&sent, TrustedHeader::XForwarded);
            assert_eq!(told.scheme, expected, "{sent:?}");
        }
    }

    #[test]
    fn only_the_header_that_peers_write_is_read() {
        let mut sent = HeaderMap::new();
        sent.insert(
            header::FORWARDED,
            HeaderValue::from_static("for=203.0.113.9;proto=https"),
        );
        sent.insert(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1"));
        for (by, address, scheme) in [
            (TrustedHeader::XForwarded, [198, 51, 100, 1], None),
            (
                TrustedHeader::Forwarded,
                [203, 0, 113, 9],
                Some(Scheme::Https),
            ),
        ] {
            let expected = Told {
                addresses: vec![address.into()],
                scheme,
            };
            assert_eq!(Told::read(&sent, by), expected);
        }
    }
}
