//! The beginning of a connection behind a load balancer, against a reader of the PROXY protocol's specification that takes it
//! by the letter and knows no more than it must.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis::probe::proxy_header;

pub(super) fn run(data: &[u8]) {
    let found = proxy_header(data);
    match read(data) {
        Read::Header(behind, length) => {
            assert_eq!(found, Ok(Some((behind, length))));
            assert_eq!(proxy_header(&data[..length]), found, "no octet more");
            for cut in [length - 1, length / 2, 0] {
                assert_eq!(proxy_header(&data[..cut]), Ok(None), "cut at {cut}");
            }
        }
        Read::More => {
            assert_eq!(found, Ok(None));
            assert!(data.len() < 16 + 4096, "waits for what never is enough");
        }
        Read::Not => assert!(found.is_err(), "{found:?}"),
    }
}

#[derive(Debug)]
enum Read {
    Header(Option<SocketAddr>, usize),
    More,
    Not,
}

fn read(data: &[u8]) -> Read {
    for (start, read) in [
        (&b"PROXY "[..], first as fn(&[u8]) -> Read),
        (b"\r\n\r\n\0\r\nQUIT\n", second),
    ] {
        if data.starts_with(start) {
            return read(data);
        }
        if start.starts_with(data) {
            return Read::More;
        }
    }
    Read::Not
}

/// Section 2.1: a line of at most 107 octets, its end included.
fn first(data: &[u8]) -> Read {
    let end = data.windows(2).position(|pair| pair == b"\r\n");
    let Some(end) = end.filter(|end| *end <= 105) else {
        return if data.len() < 107 {
            Read::More
        } else {
            Read::Not
        };
    };
    let Ok(line) = str::from_utf8(&data[..end]) else {
        return Read::Not;
    };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Read::Header(None, end + 2),
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            from,
            to,
            from_port,
            to_port,
        ] => {
            let address = |text: &str| {
                let address: IpAddr = text.parse().ok()?;
                (address.is_ipv4() == (family == "TCP4")).then_some(address)
            };
            let parts = address(from).zip(port(from_port));
            match parts.filter(|_| address(to).is_some() && port(to_port).is_some()) {
                Some(parts) => Read::Header(Some(parts.into()), end + 2),
                None => Read::Not,
            }
        }
        _ => Read::Not,
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Section 2.2; of the length no more than 4 KiB.
fn second(data: &[u8]) -> Read {
    let Some(&[command, kind, high, low]) = data.get(12..16) else {
        return Read::More;
    };
    let length = 256 * usize::from(high) + usize::from(low);
    if command & 0xf0 != 0x20 || length > 4096 {
        return Read::Not;
    }
    if data.len() < 16 + length {
        return Read::More;
    }
    let header = &data[..16 + length];
    if command == 0x20 {
        return Read::Header(None, header.len());
    }
    let addresses = match kind {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Read::Not,
    };
    if command != 0x21 || length < addresses || !are_values(header, 16 + addresses) {
        return Read::Not;
    }
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let client = match kind {
        0x11 => {
            let address: [u8; 4] = header[16..20].try_into().unwrap();
            Some((Ipv4Addr::from(address), port(24)).into())
        }
        0x21 => {
            let address: [u8; 16] = header[16..32].try_into().unwrap();
            Some((Ipv6Addr::from(address), port(48)).into())
        }
        _ => None,
    };
    Read::Header(client, header.len())
}

/// Section 2.2.7: whole to the end, with one checksum at most, which is right.
fn are_values(header: &[u8], mut at: usize) -> bool {
    let mut sums = Vec::new();
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3) else {
            return false;
        };
        let end = at + 3 + 256 * usize::from(high) + usize::from(low);
        if end > header.len() {
            return false;
        }
        if kind == 0x03 {
            sums.push(at + 3..end);
        }
        at = end;
    }
    match &sums[..] {
        [] => true,
        [sum] => {
            let mut zeroed = header.to_vec();
            zeroed[sum.clone()].fill(0);
            header[sum.clone()] == crc32c(&zeroed).to_be_bytes()
        }
        _ => false,
    }
}

/// Castagnoli's sum as a division of polynomials, the highest power first; the octets are reflected instead of it.
fn crc32c(octets: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for octet in octets {
        sum ^= u32::from(octet.reverse_bits()) << 24;
        for _ in 0..8 {
            let carry = sum >> 31 == 1;
            sum <<= 1;
            if carry {
                sum ^= 0x1edc_6f41;
            }
        }
    }
    !sum.reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_known_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Else nothing would be held against the reader.
    #[test]
    fn the_corpus_has_headers() {
        for data in [
            &include_bytes!("../../corpus/proxy/tcp4")[..],
            include_bytes!("../../corpus/proxy/tcp6"),
            include_bytes!("../../corpus/proxy/v2-tcp4"),
            include_bytes!("../../corpus/proxy/v2-tcp6"),
            include_bytes!("../../corpus/proxy/v2-sum"),
        ] {
            let found = read(data);
            assert!(matches!(found, Read::Header(Some(_), _)), "{found:?}");
        }
    }
}
