//! `Authorization` fields, a line each: at most one token, and the one that RFC 6750 section 2.1 says.

use token::Refusal;

pub(super) fn run(data: &[u8]) {
    let values: Vec<&[u8]> = match data {
        [] => Vec::new(),
        data => data.split(|byte| *byte == b'\n').collect(),
    };
    let found = token::bearer(values.iter().copied());
    match &values[..] {
        [] => assert_eq!(found, Err(Refusal::Missing)),
        [value] => {
            assert_eq!(found.ok().map(str::as_bytes), read(value));
            assert_eq!(found == Err(Refusal::Missing), !is_bearer(value));
        }
        _ => assert_eq!(found, Err(Refusal::Ambiguous)),
    }
    if let Ok(text) = str::from_utf8(data) {
        let is_token = !data.is_empty() && data.iter().all(|byte| is_b64(*byte));
        assert_eq!(token::b64token(text).ok(), is_token.then_some(text));
    }
}

/// The scheme, a space, and one token with nothing but blanks around it.
fn read(value: &[u8]) -> Option<&[u8]> {
    let rest = value.get(6..).filter(|_| is_bearer(value))?;
    let words: Vec<&[u8]> = rest
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .collect();
    match words[..] {
        [word] if word.iter().all(|byte| is_b64(*byte)) => Some(word),
        _ => None,
    }
}

fn is_bearer(value: &[u8]) -> bool {
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer")
}

fn is_b64(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}
