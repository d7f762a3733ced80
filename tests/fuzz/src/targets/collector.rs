//! A collector's answer to spans, against a reader that takes protobuf's wire format apart as its grammar has it.

use portcullis::probe::rejected_spans;

pub(super) fn run(data: &[u8]) {
    assert_eq!(rejected_spans(data), read(data));
}

/// `ExportTraceServiceResponse { partial_success: 1 { rejected_spans: 1 } }`; what stands there twice counts in the end.
fn read(data: &[u8]) -> Option<u64> {
    let mut rejected = 0;
    for (number, value) in message(data)? {
        if let (1, Payload::Length(partial)) = (number, value) {
            for (number, value) in message(partial)? {
                if let (1, Payload::Varint(value)) = (number, value) {
                    rejected = value;
                }
            }
        }
    }
    (rejected < 1 << 63).then_some(rejected)
}

enum Payload<'d> {
    Varint(u64),
    Length(&'d [u8]),
    Fixed,
}

/// <https://protobuf.dev/programming-guides/encoding/>: `message := (tag value)*`
fn message(data: &[u8]) -> Option<Vec<(u64, Payload<'_>)>> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let tag = varint(data, &mut at)?;
        let mut fixed = |length: usize| {
            at += length;
            (at <= data.len()).then_some(Payload::Fixed)
        };
        let payload = match tag % 8 {
            0 => Payload::Varint(varint(data, &mut at)?),
            1 => fixed(8)?,
            2 => {
                let length = varint(data, &mut at)?.try_into().ok()?;
                let start = at;
                at = at.checked_add(length)?;
                Payload::Length(data.get(start..at)?)
            }
            5 => fixed(4)?,
            _ => return None,
        };
        if tag / 8 == 0 {
            return None;
        }
        fields.push((tag / 8, payload));
    }
    Some(fields)
}

/// Bits over 64 are cut off.
fn varint(data: &[u8], at: &mut usize) -> Option<u64> {
    let rest = &data[*at..];
    let last = rest.iter().take(10).position(|octet| *octet < 128)?;
    *at += last + 1;
    let digits = rest[..=last].iter().rev();
    let sum = digits.fold(0_u128, |sum, octet| sum * 128 + u128::from(octet % 128));
    Some((sum % (1 << 64)).try_into().unwrap())
}
