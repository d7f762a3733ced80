//! Chunked bodies as they come, followed octet by octet: the parser below us takes more for a chunk than RFC 9112 section 7.1
//! calls one (an empty size, a line feed alone), and what two parsers end apart is two requests to one of them.

/// Where in a chunked body its reader is.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk at hand.
    size: u64,
    digits: u8,
    /// Octets of extensions and trailers so far.
    beside: usize,
}

/// A chunked body has not the form it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunked body is out of form")]
pub(crate) struct BadChunk;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeEnd,
    Data(u64),
    DataReturn,
    DataEnd,
    /// A trailer field, or the end.
    Line,
    Name,
    Value,
    ValueEnd,
    End,
    /// What follows is not this body's.
    Over,
}

impl Chunks {
    /// At the beginning of a body.
    pub(super) fn begin() -> Self {
        Self {
            at: At::Size,
            size: 0,
            digits: 0,
            beside: 0,
        }
    }

    /// Goes on over these octets.
    pub(super) fn follow(&mut self, mut octets: &[u8]) -> Result<(), BadChunk> {
        loop {
            if let At::Data(left) = self.at {
                let taken =
                    usize::try_from(left).map_or(octets.len(), |left| left.min(octets.len()));
                octets = octets.get(taken..).unwrap_or_default();
                self.at = match left - u64::try_from(taken).unwrap_or(left) {
                    0 => At::DataReturn,
                    left => At::Data(left),
                };
            }
            let Some((octet, rest)) = octets.split_first() else {
                return Ok(());
            };
            if self.at == At::Over {
                return Ok(());
            }
            self.at = self.step(*octet)?;
            octets = rest;
        }
    }

    fn step(&mut self, octet: u8) -> Result<At, BadChunk> {
        Ok(match (self.at, octet) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(octet)?,
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, b'\r') if self.digits > 0 => At::SizeEnd,
            (At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, b'\t' | b' '..=b'~') => self.beside(At::Extension)?,
            (At::SizeEnd, b'\n') => self.sized(),
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Size,
            (At::Line, b'\r') => At::End,
            (At::Line | At::Name, _) if is_token(octet) => self.beside(At::Name)?,
            (At::Name, b':') => At::Value,
            (At::Value, b'\r') => At::ValueEnd,
            (At::Value, b'\t' | b' '..=b'~' | 0x80..) => self.beside(At::Value)?,
            (At::ValueEnd, b'\n') => At::Line,
            (At::End, b'\n') => At::Over,
            _ => return Err(BadChunk),
        })
    }

    /// One more digit of a size.
    fn digit(&mut self, octet: u8) -> Result<At, BadChunk> {
        let value = char::from(octet).to_digit(16).ok_or(BadChunk)?;
        if self.digits == DIGITS {
            return Err(BadChunk);
        }
        self.digits += 1;
        self.size = (self.size << 4) | u64::from(value);
        if self.size > LARGEST {
            return Err(BadChunk);
        }
        Ok(At::Size)
    }

    /// After the line of a size.
    fn sized(&mut self) -> At {
        let size = std::mem::take(&mut self.size);
        self.digits = 0;
        match size {
            0 => At::Line,
            size => At::Data(size),
        }
    }

    /// One more octet of what is no data.
    fn beside(&mut self, at: At) -> Result<At, BadChunk> {
        self.beside += 1;
        if self.beside > BESIDE {
            return Err(BadChunk);
        }
        Ok(at)
    }
}

/// Whether a body is over that comes in these pieces.
pub(crate) fn check_chunks<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<bool, BadChunk> {
    let mut chunks = Chunks::begin();
    for piece in pieces {
        chunks.follow(piece)?;
    }
    Ok(chunks.at == At::Over)
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// As many as 64 bits have.
const DIGITS: u8 = 16;
/// No body is as long; and nobody below reckons with more than this without an overflow.
const LARGEST: u64 = 1 << 40;
/// Nobody reads extensions, and trailers go no further: more of them is only work.
const BESIDE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the body is in form however it is cut, and whether it is over.
    fn follow(body: &[u8]) -> Result<bool, BadChunk> {
        let mut whole = Chunks::begin();
        let followed = whole.follow(body).map(|()| whole.at == At::Over);
        for cut in 0..body.len() {
            let (one, other) = body.split_at(cut);
            let mut chunks = Chunks::begin();
            let in_two = chunks.follow(one).and_then(|()| chunks.follow(other));
            assert_eq!(in_two.map(|()| chunks.at == At::Over), followed);
        }
        followed
    }

    #[test]
    fn chunks_in_form_are_followed() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"1\r\na\r\n0\r\n\r\n",
            b"A\r\n0123456789\r\n00\r\n\r\n",
            b"3;a\r\nabc\r\n0;b=\"c; d\"\r\n\r\n",
            b"2\r\n\r\n\r\n0\r\n\r\n",
            b"1\r\n\0\r\n0\r\nX-A: b\r\nx-c:\r\n\r\n",
            b"0\r\n\r\nGET / HTTP/1.1\nwhatever",
            b"0000000000000001\r\na\r\n0\r\n\r\n",
        ] {
            assert_eq!(follow(body), Ok(true), "{}", body.escape_ascii());
        }
        for body in [
            &b""[..],
            b"1",
            b"1\r\na",
            b"ffffffffff\r\nabc",
            b"0\r\nX-A: b\r\n",
        ] {
            assert_eq!(follow(body), Ok(false), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn chunks_out_of_form_are_refused() {
        for body in [
            &b"\r\n\r\n"[..],
            b"\r\n",
            b"\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\n",
            b"1\t\r\n",
            b"1 ;a\r\n",
            b"1,1\r\n",
            b"g\r\n",
            b";a\r\n",
            b"1\n",
            b"1\r\r\n",
            b"1;a\nb\r\n",
            b"1;a\rb\r\n",
            b"1;\0\r\n",
            b"00000000000000001\r\n",
            b"10000000001\r\n",
            b"ffffffffffffffff\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1\r\na0\r\n",
            b"1\r\na\r0",
            b"1\r\na\r\n\r\n",
            b"0\r\n\n",
            b"0\r\n0\r\n",
            b"0\r\n X-A: b\r\n",
            b"0\r\nX-A : b\r\n",
            b"0\r\nX-A: b\n",
            b"0\r\nX-A: b\r\n c\r\n",
            b"0\r\nX-A: b\0\r\n",
            b"0\r\n: b\r\n",
            b"0\r\n\rX",
        ] {
            assert_eq!(follow(body), Err(BadChunk), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_data_is_bounded() {
        let body = |beside: usize| ["1;", &"a".repeat(beside), "\r\na\r\n0\r\n\r\n"].concat();
        for (beside, expected) in [(BESIDE, Ok(())), (BESIDE + 1, Err(BadChunk))] {
            let mut chunks = Chunks::begin();
            assert_eq!(chunks.follow(body(beside).as_bytes()), expected);
        }
        let many = "1;a\r\nb\r\n".repeat(BESIDE + 1);
        assert_eq!(Chunks::begin().follow(many.as_bytes()), Err(BadChunk));
    }
}
