//! What a caller says of the trace that a request belongs to, against W3C Trace Context by the letter: `traceparent` fields, a
//! line each, and behind an empty line those of `tracestate`.

use http::HeaderValue;
use portcullis::probe::{trace_parent, trace_state};

pub(super) fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let is_full = |line: &&[u8]| !line.is_empty();
    let parents = fields(lines.by_ref().take_while(is_full));
    let states = fields(lines);
    let expected = match &parents[..] {
        [parent] => read(parent.as_bytes()),
        _ => None,
    };
    assert_eq!(trace_parent(&parents), expected);
    let kept = trace_state(&states);
    let found: Vec<&[u8]> = kept.iter().flat_map(entries).collect();
    assert_eq!(found, carried(&states));
    assert_eq!(kept.is_none(), found.is_empty());
    assert!(kept.as_ref().is_none_or(|kept| kept.len() <= LONGEST));
}

fn fields<'d>(lines: impl Iterator<Item = &'d [u8]>) -> Vec<HeaderValue> {
    lines
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect()
}

/// Sections 3.2.2 to 3.2.4.
fn read(text: &[u8]) -> Option<([u8; 16], [u8; 8], bool)> {
    // What a later version has behind them is no matter.
    let text = String::from_utf8_lossy(text);
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags, more @ ..] = &parts[..] else {
        return None;
    };
    let is_in_form = [(version, 2), (trace, 32), (span, 16), (flags, 2)]
        .iter()
        .all(|(part, length)| {
            part.len() == *length && part.chars().all(|it| "0123456789abcdef".contains(it))
        });
    let is_known = *version != "ff" && (*version != "00" || more.is_empty());
    let is_set = [trace, span]
        .iter()
        .all(|part| part.chars().any(|it| it != '0'));
    if !is_in_form || !is_known || !is_set {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok()?.to_be_bytes();
    let span = u64::from_str_radix(span, 16).ok()?.to_be_bytes();
    Some((trace, span, u8::from_str_radix(flags, 16).ok()? % 2 == 1))
}

fn entries(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let entries = field.as_bytes().split(|byte| *byte == b',');
    entries
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
}

/// Section 3.3: all of it, or none, or the first of it.
fn carried(states: &[HeaderValue]) -> Vec<&[u8]> {
    let mut kept: Vec<&[u8]> = states.iter().flat_map(entries).collect();
    if !kept.iter().all(|entry| is_entry(entry)) {
        return Vec::new();
    }
    if length(&kept) > LONGEST {
        kept.retain(|entry| entry.len() <= 128);
    }
    kept.truncate(32);
    while length(&kept) > LONGEST {
        kept.pop();
    }
    kept
}

fn length(entries: &[&[u8]]) -> usize {
    entries.join(&b',').len()
}

fn is_entry(entry: &[u8]) -> bool {
    let parts: Vec<&[u8]> = entry.split(|byte| *byte == b'=').collect();
    let [key, value] = parts[..] else {
        return false;
    };
    let is_alphanumeric = |byte: &u8| b"abcdefghijklmnopqrstuvwxyz0123456789".contains(byte);
    let is_key = |byte: &u8| is_alphanumeric(byte) || b"_-*/@".contains(byte);
    let is_value = |byte: &u8| (0x20..=0x7e).contains(byte);
    (1..=256).contains(&key.len())
        && (1..=256).contains(&value.len())
        && is_alphanumeric(&key[0])
        && key.iter().all(is_key)
        && value.iter().all(is_value)
}

const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// Else nothing would be held against the reader.
    #[test]
    fn the_corpus_has_parents_and_long_states() {
        let parent = include_bytes!("../../corpus/traces/parent");
        assert!(read(parent.trim_ascii_end()).is_some());
        let long = include_bytes!("../../corpus/traces/long");
        let states = fields(long.trim_ascii().split(|byte| *byte == b'\n'));
        let all = states.iter().flat_map(entries).count();
        let kept = carried(&states).len();
        assert!(all > 32 && (1..32).contains(&kept), "{kept} of {all}");
    }
}
