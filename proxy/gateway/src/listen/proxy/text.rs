//! Version 1: one line of text.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use memchr::memmem;

use super::Behind;

/// How a header begins.
pub(super) const START: &[u8] = b"PROXY ";

/// As [`super::parse`], of bytes that begin with [`START`] (section 2.1).
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Behind, usize)>, &'static str> {
    let window = bytes.get(..LONGEST).unwrap_or(bytes);
    let Some(end) = memmem::find(window, b"\r\n") else {
        return if window.len() == LONGEST {
            Err("the line is too long")
        } else {
            Ok(None)
        };
    };
    let line = window.get(..end).unwrap_or_default();
    let line = str::from_utf8(line).map_err(|_| "the line is no text")?;
    Ok(Some((behind(line)?, end + 2)))
}

fn behind(line: &str) -> Result<Behind, &'static str> {
    let mut words = line.split(' ').skip(1);
    let source = match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => return Ok(Behind::Nobody),
        Some("TCP4") => ends::<Ipv4Addr>(&mut words),
        Some("TCP6") => ends::<Ipv6Addr>(&mut words),
        _ => return Err("the protocol is unknown"),
    };
    match (source, words.next()) {
        (Some(source), None) => Ok(Behind::Client(source)),
        _ => Err("the addresses are not two, each with a port"),
    }
}

/// The source, if the destination is one too.
fn ends<'w, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'w str>,
) -> Option<SocketAddr> {
    let source: A = words.next()?.parse().ok()?;
    let _: A = words.next()?.parse().ok()?;
    let from = port(words.next()?)?;
    port(words.next()?)?;
    Some(SocketAddr::new(source.into(), from))
}

/// Decimal, without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// With its end, as the specification has it.
const LONGEST: usize = 107;
