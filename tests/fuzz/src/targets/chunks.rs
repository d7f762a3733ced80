//! A chunked body, followed piece by piece, against a reader that takes RFC 9112 by the letter and sees it whole.
//!
//! The first octet says how long the pieces are, the rest is the body.

use portcullis::probe;

use crate::http1;

pub(super) fn run(data: &[u8]) {
    let Some((length, body)) = data.split_first() else {
        return;
    };
    let followed = probe::chunks([body]);
    for length in [usize::from(*length), 1] {
        let pieces = probe::chunks(body.chunks(length.max(1)));
        assert_eq!(pieces, followed, "in pieces of {length}");
    }
    match (followed, http1::chunked(body)) {
        (Some(true), Ok(Some((_, end)))) => ends(body, end),
        // What is out of form may stand behind where this one stops for want of more.
        (Some(false), Ok(None)) | (None, Err(_) | Ok(None)) => (),
        (None, Ok(Some((_, end)))) => assert!(is_beyond(&body[..end]), "refused"),
        // It reads lines as a whole, where the gate awaits their end.
        (Some(false), Err(reason)) => panic!("goes on: {reason}"),
        (found, expected) => panic!("{found:?}, not {expected:?}"),
    }
}

/// Over there, no octet earlier, and nothing behind it counts.
fn ends(body: &[u8], end: usize) {
    assert_eq!(probe::chunks([&body[..end]]), Some(true));
    assert_eq!(probe::chunks([&body[..end - 1]]), Some(false));
}

/// What the gate refuses though RFC 9112 has it: more than 8 KiB beside the data, blanks around an extension, sizes of more
/// than 16 digits or 40 bits, and in extensions what is no plain text.
fn is_beyond(body: &[u8]) -> bool {
    let mut rest = body;
    let mut beside = 0;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = &rest[..end];
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit());
        let (size, extension) = line.split_at(digits.count());
        let plain = |octet: &u8| matches!(octet, b'\t' | b' '..=b'~');
        if size.len() > 16 || !extension.iter().all(plain) || extension.starts_with(b" ") {
            return true;
        }
        if extension.starts_with(b"\t") {
            return true;
        }
        beside += extension.len();
        let size = u64::from_str_radix(str::from_utf8(size).unwrap(), 16).unwrap();
        if size == 0 {
            return beside + rest.len() - end > 8 * 1024;
        }
        rest = &rest[end + 4 + usize::try_from(size).unwrap()..];
    }
    false
}
