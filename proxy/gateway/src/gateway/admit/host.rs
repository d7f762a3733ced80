//! The authority of a request: host in lower case, port where it is not the default.

use std::net::Ipv6Addr;

use settings::Scheme;

use crate::gateway::{
    head::Authority,
    refuse::{Malformed, Refusal},
};

/// Reads a host name, IPv4 address or bracketed IPv6 address with an optional port (RFC 3986 section 3.2.2).
///
/// Percent-encoding and user information have no use here and are refused.
pub(super) fn read(text: &str, scheme: Scheme) -> Result<Authority, Refusal> {
    let (host, port) = split(text)?;
    let port = match port {
        None => None,
        Some(digits) => Some(parse_port(digits)?).filter(|port| *port != scheme.default_port()),
    };
    let host = if let Some(literal) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let address: Ipv6Addr = literal.parse().map_err(|_| Malformed::HostInvalid)?;
        format!("[{address}]")
    } else {
        registered_name(host)?
    };
    Ok(Authority::new(host, port))
}

fn split(text: &str) -> Result<(&str, Option<&str>), Refusal> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(Malformed::HostInvalid)?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(Malformed::HostInvalid.into()),
        };
    }
    Ok(match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    })
}

fn parse_port(digits: &str) -> Result<u16, Refusal> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if plain && port > 0 => Ok(port),
        _ => Err(Malformed::HostInvalid.into()),
    }
}

/// A name of letters, digits, `-` and `_` in labels; one dot at the end is the same name, and goes.
fn registered_name(host: &str) -> Result<String, Refusal> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut label = 0;
    let mut in_form = name.len() <= 253;
    for byte in name.bytes() {
        match byte {
            b'.' => {
                in_form &= (1..=63).contains(&label);
                label = 0;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => in_form = false,
        }
    }
    if in_form && (1..=63).contains(&label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(Malformed::HostInvalid.into())
    }
}
