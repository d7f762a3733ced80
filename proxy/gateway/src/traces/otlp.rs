//! OTLP's messages in protobuf's wire format, written field by field as they are: a span is in its octets before it is queued,
//! and a batch is what was queued with a frame around it.
//!
//! Numbers of fields are those of `opentelemetry/proto/trace/v1/trace.proto` and its neighbours, which are stable.

/// A message that is being written.
#[derive(Debug)]
pub(crate) struct Message<'o>(&'o mut Vec<u8>);

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'v> {
    /// A text.
    Text(&'v str),
    /// A whole number.
    Number(u64),
}

impl<'o> Message<'o> {
    /// Writes behind what is there.
    pub(crate) fn at_end_of(out: &'o mut Vec<u8>) -> Self {
        Self(out)
    }

    /// A number of variable length.
    pub(crate) fn number(&mut self, field: u8, value: u64) {
        self.key(field, VARINT);
        push_number(self.0, value);
    }

    /// A number of 64 bits.
    pub(crate) fn fixed64(&mut self, field: u8, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of 32 bits.
    pub(crate) fn fixed32(&mut self, field: u8, value: u32) {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Octets.
    pub(crate) fn octets(&mut self, field: u8, value: &[u8]) {
        self.key(field, LENGTH);
        push_length(self.0, value.len());
        self.0.extend_from_slice(value);
    }

    /// A text.
    pub(crate) fn text(&mut self, field: u8, value: &str) {
        self.octets(field, value.as_bytes());
    }

    /// A message within this one.
    pub(crate) fn message(&mut self, field: u8, fill: impl FnOnce(&mut Message<'_>)) {
        self.key(field, LENGTH);
        let start = self.0.len();
        fill(&mut Message(self.0));
        let end = self.0.len();
        // Known only now, the length is written behind and turned to the front.
        push_length(self.0, end - start);
        let length = self.0.len() - end;
        if let Some(written) = self.0.get_mut(start..) {
            written.rotate_right(length);
        }
    }

    /// A `KeyValue`.
    pub(crate) fn attribute(&mut self, field: u8, key: &str, value: Value<'_>) {
        self.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| match value {
                Value::Text(text) => any.text(1, text),
                Value::Number(number) => any.number(3, number),
            });
        });
    }

    /// Fields that are written already.
    pub(crate) fn written(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    fn key(&mut self, field: u8, kind: u8) {
        push_number(self.0, u64::from(field) << 3 | u64::from(kind));
    }
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    // No platform's lengths are longer.
    push_number(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Seven bits an octet, the lowest first; the eighth says that more follow.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// Readers for tests.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One field: its number, and its value, which is a number's octets where it is no text or message.
    pub(crate) type Field = (u64, Vec<u8>);

    /// All fields of a message.
    pub(crate) fn fields(mut octets: &[u8]) -> Vec<Field> {
        let mut found = Vec::new();
        while !octets.is_empty() {
            let key = number(&mut octets);
            let length = match key & 7 {
                0 => {
                    found.push((key >> 3, number(&mut octets).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => usize::try_from(number(&mut octets)).unwrap(),
                5 => 4,
                other => panic!("no kind of field: {other}"),
            };
            let (value, rest) = octets.split_at(length);
            found.push((key >> 3, value.to_vec()));
            octets = rest;
        }
        found
    }

    fn number(octets: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = octets.split_first().unwrap();
            *octets = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 300, 16384, 70_000] {
            let text = "a".repeat(length);
            let mut out = b"before".to_vec();
            Message::at_end_of(&mut out).message(15, |inner| {
                inner.text(1, &text);
                inner.number(2, 300);
                inner.fixed64(3, u64::MAX);
                inner.fixed32(16, 7);
            });
            assert!(out.starts_with(b"before"));
            let outer = fields(&out[6..]);
            let [(15, inner)] = &outer[..] else {
                panic!("{outer:?}")
            };
            let expected = [
                (1, text.into_bytes()),
                (2, 300_u64.to_le_bytes().to_vec()),
                (3, vec![0xff; 8]),
                (16, vec![7, 0, 0, 0]),
            ];
            assert_eq!(fields(inner), expected);
        }
    }

    /// By the letter of <https://protobuf.dev/programming-guides/encoding/>.
    #[test]
    fn the_wire_format_is_the_known_one() {
        let mut out = Vec::new();
        let mut message = Message::at_end_of(&mut out);
        message.number(1, 150);
        message.text(2, "testing");
        message.message(3, |inner| inner.number(1, 150));
        let expected = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01";
        assert_eq!(out, expected);
    }

    #[test]
    fn attributes_are_pairs() {
        let mut out = Vec::new();
        Message::at_end_of(&mut out).attribute(9, "k", Value::Number(3));
        assert_eq!(out, b"\x4a\x07\x0a\x01k\x12\x02\x18\x03");
    }
}
