//! Randomness as an argument: logic draws from an `Rng`, never from the system.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// A source of bytes nobody can predict; one instance a process, a seeded one in tests.
pub trait Rng: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// The cryptographic generator of the process.
#[derive(Debug)]
pub struct OsRng(SystemRandom);

impl OsRng {
    /// The generator, seeded by the operating system.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for OsRng {
    fn default() -> Self {
        Self::new()
    }
}

impl Rng for OsRng {
    fn fill(&self, out: &mut [u8]) {
        if self.0.fill(out).is_err() {
            // A process without randomness would hand out guessable codes and keys: it must not go on.
            tracing::error!("The system's random generator failed");
            std::process::abort();
        }
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut out = [0; N];
    rng.fill(&mut out);
    out
}

/// A random UUID, version 4 (RFC 9562 section 5.4), in its lower-case form.
pub fn uuid(rng: &dyn Rng) -> String {
    uuid::Builder::from_random_bytes(bytes(rng))
        .into_uuid()
        .to_string()
}

/// A text of `len` characters, each drawn evenly from `alphabet` (1 to 256 ASCII characters).
pub fn text(rng: &dyn Rng, alphabet: &[u8], len: usize) -> String {
    // Values past the last whole multiple of the alphabet are drawn again, so no character is likelier than another.
    let even = 256 - 256 % alphabet.len().clamp(1, 256);
    let mut out = String::with_capacity(len);
    let mut drawn = [0_u8; 64];
    while out.len() < len {
        rng.fill(&mut drawn);
        for byte in drawn
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < even)
        {
            if out.len() == len {
                break;
            }
            let Some(character) = alphabet.get(byte % alphabet.len()) else {
                return out;
            };
            out.push(char::from(*character));
        }
    }
    out
}

/// `0` to `9`.
pub const DIGITS: &[u8] = b"0123456789";
/// Lower-case letters and digits.
pub const LOWER_ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Letters and digits.
pub const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRng;

    #[test]
    fn text_uses_the_whole_alphabet_evenly() {
        let drawn = text(&SeededRng::new(7), DIGITS, 100_000);
        assert_eq!(drawn.len(), 100_000);
        for digit in DIGITS {
            let seen = drawn.bytes().filter(|byte| byte == digit).count();
            assert!(
                (9_500..10_500).contains(&seen),
                "{digit} was drawn {seen} times"
            );
        }
    }

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let rng = SeededRng::new(1);
        let (first, second) = (uuid(&rng), uuid(&rng));
        assert_ne!(first, second);
        assert_eq!(first.as_bytes().get(14), Some(&b'4'));
    }
}
