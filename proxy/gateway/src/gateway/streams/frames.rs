//! Frames of WebSocket (RFC 6455 section 5.2), followed as far as to know where one ends: only between two of them may the gate
//! say something of its own.

use bytes::Bytes;

/// Follows the frames that a server sends.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The octets of a frame's head that are there.
    head: [u8; LONGEST_HEAD],
    known: usize,
    /// Octets of the frame's payload that are to come.
    left: u64,
    /// The server has said that it closes: nothing may follow (section 5.5.1).
    closed: bool,
}

impl Frames {
    /// Follows these octets, however many frames they are of.
    pub(super) fn follow(&mut self, mut octets: &[u8]) {
        while let Some(end) = self.finish(octets) {
            octets = octets.get(end..).unwrap_or_default();
        }
    }

    /// Follows these octets up to the first end of a frame, and gives how many those are; all of them where none ends.
    pub(crate) fn finish(&mut self, octets: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(octet) = octets.get(at) {
            if self.left > 0 {
                let rest = u64::try_from(octets.len() - at).unwrap_or(u64::MAX);
                let taken = rest.min(self.left);
                self.left -= taken;
                at += usize::try_from(taken).unwrap_or(usize::MAX);
            } else {
                at += 1;
                self.head(*octet);
            }
            if self.is_between() {
                return Some(at);
            }
        }
        None
    }

    /// Whether a frame has ended and none has begun.
    pub(super) fn is_between(&self) -> bool {
        self.known == 0 && self.left == 0
    }

    /// Whether the server has closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    fn head(&mut self, octet: u8) {
        if let Some(place) = self.head.get_mut(self.known) {
            *place = octet;
        }
        self.known += 1;
        let [first, second, ..] = self.head;
        if self.known < 2 {
            return;
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        // A server masks nothing (section 5.1); one that does is out of form, and is followed all the same.
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.known < 2 + extended + mask {
            return;
        }
        let length = self.head.get(2..2 + extended).unwrap_or_default();
        self.left = match extended {
            0 => u64::from(second & 0x7f),
            _ => length
                .iter()
                .fold(0, |sum, octet| sum << 8 | u64::from(*octet)),
        };
        self.closed |= first & 0x0f == CLOSE;
        self.known = 0;
    }
}

/// A frame that closes, from the gate to the caller, with this status and reason (section 5.5.1).
pub(super) fn close(status: u16, reason: &str) -> Bytes {
    // With the status, as much as a control frame may hold.
    let reason = reason.as_bytes();
    let reason = reason.get(..reason.len().min(123)).unwrap_or_default();
    let length = u8::try_from(2 + reason.len()).unwrap_or(2);
    let mut frame = vec![0x80 | CLOSE, length];
    frame.extend_from_slice(&status.to_be_bytes());
    frame.extend_from_slice(reason);
    frame.into()
}

const CLOSE: u8 = 0x8;
/// Two octets, eight of a length, four of a mask.
const LONGEST_HEAD: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(u8::try_from(length).unwrap()),
            126..65536 => {
                frame.push(126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.resize(frame.len() + length, 0x81);
        frame
    }

    #[test]
    fn the_ends_of_frames_are_known_however_they_are_cut() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
            let one = frame(0x82, length);
            let all = [one.clone(), one.clone(), one.clone()].concat();
            for piece in [1, 2, 3, 7, 1000, one.len(), all.len()] {
                let mut frames = Frames::default();
                let mut at = 0;
                for piece in all.chunks(piece) {
                    frames.follow(piece);
                    at += piece.len();
                    assert_eq!(frames.is_between(), at % one.len() == 0, "{length} at {at}");
                }
                let mut frames = Frames::default();
                frames.follow(&all[..piece.min(one.len() - 1)]);
                let rest = &all[piece.min(one.len() - 1)..];
                assert_eq!(
                    frames.finish(rest),
                    Some(all.len() - rest.len()).map(|begun| one.len() - begun)
                );
            }
        }
    }

    #[test]
    fn a_close_is_seen_and_made() {
        let mut frames = Frames::default();
        frames.follow(&frame(0x81, 3));
        assert!(!frames.is_closed());
        let close = close(1008, "token_expired");
        assert_eq!(close[..4], [0x88, 15, 0x03, 0xf0]);
        assert_eq!(&close[4..], b"token_expired");
        frames.follow(&close);
        assert!(frames.is_closed() && frames.is_between());
        assert_eq!(super::close(1008, &"x".repeat(200)).len(), 2 + 125);
    }

    #[test]
    fn masked_frames_are_followed_too() {
        let mut frames = Frames::default();
        let masked = [&[0x81, 0x82, 1, 2, 3, 4][..], &[5, 6]].concat();
        assert_eq!(frames.finish(&masked), Some(masked.len()));
    }
}
