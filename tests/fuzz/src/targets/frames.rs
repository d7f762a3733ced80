//! Frames that a WebSocket server sends, in pieces however they come, against a reader that has all of them at once.
//!
//! The first octet of a case says how long the pieces are.

use portcullis::probe::frames;

pub(super) fn run(data: &[u8]) {
    let Some((size, data)) = data.split_first() else {
        return;
    };
    let pieces = data.chunks(usize::from(*size).max(1));
    assert_eq!(frames(pieces), read(data));
}

/// Where each frame ends, and whether one of these closes (RFC 6455 section 5.2).
fn read(data: &[u8]) -> (Vec<u64>, bool) {
    let (mut ends, mut closes) = (Vec::new(), false);
    let mut rest = data;
    let mut at = 0_u128;
    while let [first, second, after @ ..] = rest {
        let extended = match second % 128 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if *second < 128 { 0 } else { 4 };
        let Some((length, _)) = after.split_at_checked(extended) else {
            break;
        };
        if after.len() < extended + mask {
            break;
        }
        let payload = match extended {
            0 => u128::from(second % 128),
            _ => length
                .iter()
                .fold(0, |sum, octet| sum * 256 + u128::from(*octet)),
        };
        // As soon as its head is there.
        closes |= first % 16 == 8;
        let whole = 2 + u128::try_from(extended + mask).unwrap() + payload;
        let Some(next) = usize::try_from(whole)
            .ok()
            .and_then(|whole| rest.get(whole..))
        else {
            break;
        };
        at += whole;
        ends.push(at.try_into().unwrap());
        rest = next;
    }
    (ends, closes)
}
