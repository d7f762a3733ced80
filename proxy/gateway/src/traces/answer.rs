//! What a collector says of spans that it got: how many it has not taken (OTLP's specification, "Partial Success").

/// Of how many spans an `ExportTraceServiceResponse` says that they were not taken; nothing where it cannot be read.
pub(crate) fn rejected(answer: &[u8]) -> Option<u64> {
    let mut rejected = 0;
    let mut rest = answer;
    while !rest.is_empty() {
        // `partial_success`
        if let (1, Value::Octets(mut partial)) = field(&mut rest)? {
            while !partial.is_empty() {
                // `rejected_spans`
                if let (1, Value::Number(number)) = field(&mut partial)? {
                    rejected = number;
                }
            }
        }
    }
    // A number with a sign; none is under zero that makes sense.
    Some(rejected).filter(|number| i64::try_from(*number).is_ok())
}

enum Value<'m> {
    Number(u64),
    Octets(&'m [u8]),
    Other,
}

/// The next field of a message: its number and what it holds.
fn field<'m>(rest: &mut &'m [u8]) -> Option<(u64, Value<'m>)> {
    let key = number(rest)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => take(rest, 8).map(|_| Value::Other)?,
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            Value::Octets(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Other)?,
        // Groups, which are no more, and what never was.
        _ => return None,
    };
    Some((key >> 3, value)).filter(|(number, _)| *number > 0)
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    rest.split_off(..length)
}

/// A number of variable length; ten octets at most.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let octet = rest.split_off_first()?;
        number |= u64::from(octet & 0x7f).checked_shl(shift)?;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::otlp::Message, *};

    fn answer(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        Message::at_end_of(&mut out).message(1, |partial| {
            partial.number(1, number);
            partial.text(2, "too large");
            partial.fixed64(3, 1);
            partial.fixed32(4, 1);
        });
        out
    }

    #[test]
    fn what_was_not_taken_is_read() {
        for (octets, expected) in [
            (Vec::new(), Some(0)),
            (b"\x0a\x00".to_vec(), Some(0)),
            (b"\x12\x01a".to_vec(), Some(0)),
            (answer(3), Some(3)),
            (answer(300), Some(300)),
            ([answer(3), answer(4)].concat(), Some(4)),
            (answer(u64::MAX), None),
            (b"{}".to_vec(), None),
            (b"\x0a\x05\x08".to_vec(), None),
            (b"\x02\x00".to_vec(), None),
            (vec![0xff; 20], None),
        ] {
            assert_eq!(rejected(&octets), expected, "{octets:?}");
        }
    }
}
