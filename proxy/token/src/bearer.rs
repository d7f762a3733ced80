//! The `Authorization` header to the token in it (RFC 6750 section 2.1).

use crate::Refusal;

/// Takes the bearer token out of a request's `Authorization` values.
///
/// No value, or a value of another scheme, is [`Refusal::Missing`]; several values are [`Refusal::Ambiguous`]; a
/// `Bearer` whose rest is no `b64token` is [`Refusal::Malformed`].
pub fn bearer<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<&'a str, Refusal> {
    let mut values = values.into_iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Ambiguous);
    }
    let (scheme, rest) = value
        .split_at_checked(SCHEME.len())
        .ok_or(Refusal::Missing)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Refusal::Missing);
    }
    let token = rest.strip_prefix(b" ").map_or(rest, <[u8]>::trim_ascii);
    if token.len() == rest.len() && !rest.is_empty() {
        // `Bearerx`: another scheme.
        return Err(Refusal::Missing);
    }
    let token = std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?;
    b64token(token)
}

/// A token in the characters that one may have (RFC 6750 section 2.1), wherever it stands.
pub fn b64token(token: &str) -> Result<&str, Refusal> {
    // Every byte is looked at whatever the others are: without a way out, the compiler looks at many at once.
    let all = token
        .bytes()
        .fold(true, |all, byte| all & is_b64token(byte));
    if token.is_empty() || !all {
        return Err(Refusal::Malformed);
    }
    Ok(token)
}

fn is_b64token(byte: u8) -> bool {
    // `-` to `9` are `-`, `.`, `/` and the digits.
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'-'..=b'9')
        | matches!(byte, b'+' | b'=' | b'_' | b'~')
}

const SCHEME: &[u8] = b"Bearer";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<&str, Refusal> {
        bearer([value.as_bytes()])
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(of("Bearer a.b.c"), Ok("a.b.c"));
        assert_eq!(of("bEARER  a.b.c "), Ok("a.b.c"));
    }

    #[test]
    fn other_schemes_carry_no_token() {
        assert_eq!(bearer([]), Err(Refusal::Missing));
        assert_eq!(of("Basic YTpi"), Err(Refusal::Missing));
        assert_eq!(of("Bear"), Err(Refusal::Missing));
        assert_eq!(of("Bearers a.b.c"), Err(Refusal::Missing));
    }

    #[test]
    fn a_bearer_without_one_token_is_malformed() {
        assert_eq!(of("Bearer"), Err(Refusal::Malformed));
        assert_eq!(of("Bearer "), Err(Refusal::Malformed));
        assert_eq!(of("Bearer a.b.c d"), Err(Refusal::Malformed));
        assert_eq!(of("Bearer a.b.c, Bearer d"), Err(Refusal::Malformed));
        assert_eq!(of("Bearer \u{e9}"), Err(Refusal::Malformed));
    }

    #[test]
    fn two_headers_have_two_readings() {
        assert_eq!(
            bearer([b"Bearer a".as_slice(), b"Bearer a"]),
            Err(Refusal::Ambiguous)
        );
    }
}
