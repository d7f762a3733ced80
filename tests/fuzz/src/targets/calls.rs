//! How long the caller of a gRPC call waits, against the protocol's grammar:
//! `Timeout → "grpc-timeout" TimeoutValue TimeoutUnit`, the value at most eight digits.

use portcullis::probe::call_timeout;

pub(super) fn run(data: &[u8]) {
    let found = call_timeout(data).map(|timeout| timeout.as_nanos());
    assert_eq!(found, nanoseconds(data), "{}", data.escape_ascii());
}

fn nanoseconds(text: &[u8]) -> Option<u128> {
    let mut number = 0_u128;
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'0'..=b'9' if at < 8 => number = number * 10 + u128::from(octet - b'0'),
            _ if at == 0 || at + 1 < text.len() => return None,
            b'n' => return Some(number),
            b'u' => return Some(number * 1_000),
            b'm' => return Some(number * 1_000_000),
            b'S' => return Some(number * 1_000_000_000),
            b'M' => return Some(number * 60_000_000_000),
            b'H' => return Some(number * 3_600_000_000_000),
            _ => return None,
        }
    }
    None
}
