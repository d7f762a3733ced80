//! What a refresh token looks like: five segments with the header of a JWE, as AWS's. Clients must not look inside, and
//! there is nothing: 96 random bytes, of which the store keeps a digest.

use aws_lc_rs::digest::{SHA256, digest as sha256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use zeroize::Zeroizing;

use crate::Rng;

/// Random bytes in a token.
pub(super) const BYTES: usize = 96;

/// A new token.
pub(super) fn draw(rng: &dyn Rng) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rng.fill(bytes.as_mut_slice());
    of(&bytes)
}

/// The token of these bytes.
pub(super) fn of(bytes: &[u8; BYTES]) -> Zeroizing<String> {
    let mut token = Zeroizing::new(BASE64.encode(HEADER));
    let mut rest = bytes.as_slice();
    for length in SEGMENTS {
        let (segment, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = tail;
        token.push('.');
        BASE64.encode_string(segment, &mut token);
    }
    token
}

/// Under what a token is stored.
pub(super) fn digest(token: &str) -> String {
    BASE64.encode(sha256(&SHA256, token.as_bytes()))
}

/// Whether a text could be a refresh token of ours.
pub(super) fn is_shaped(token: &str) -> bool {
    token.split('.').count() == SEGMENTS.len() + 1
}

/// Whether a text is an access or ID token, or another JWS in compact form (RFC 7515 section 7.1).
pub(super) fn is_jws(token: &str) -> bool {
    token.split('.').count() == 3
}

const HEADER: &str = r#"{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}"#;
/// Key, nonce, text and tag, as far as a look at them goes.
const SEGMENTS: [usize; 4] = [32, 12, 36, 16];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRng;

    #[test]
    fn tokens_look_like_a_jwe_and_differ() {
        let rng = SeededRng::new(3);
        let (first, second) = (draw(&rng), draw(&rng));
        assert_ne!(*first, *second);
        assert_ne!(digest(&first), digest(&second));
        let segments: Vec<_> = first
            .split('.')
            .map(|segment| BASE64.decode(segment).unwrap())
            .collect();
        assert_eq!(segments.first().unwrap(), HEADER.as_bytes());
        assert_eq!(
            segments.iter().skip(1).map(Vec::len).collect::<Vec<_>>(),
            SEGMENTS
        );
        assert_eq!(SEGMENTS.iter().sum::<usize>(), BYTES);
        assert!(is_shaped(&first) && !is_jws(&first));
        assert!(is_jws("a.b.c") && !is_shaped("a.b.c"));
    }
}
