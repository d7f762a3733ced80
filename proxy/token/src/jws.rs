//! A JWS in compact form (RFC 7515 section 3.1), taken apart and read, believed in nothing.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{Algorithm, Claim, Object, Packed, Refusal};

/// A token taken apart. Nothing in it is verified.
pub(crate) struct Jws<'t> {
    /// What is signed: header and payload as they were sent.
    pub(crate) message: &'t [u8],
    pub(crate) signature: Vec<u8>,
    /// The header as it was sent.
    pub(crate) header_text: &'t str,
    pub(crate) header: Arc<Header>,
    pub(crate) payload: Packed,
}

/// What a header says that counts. It depends on the header's text alone.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart. `known` may give what the same text of a header was read as before.
    pub(crate) fn parse(
        token: &'t str,
        known: impl FnOnce(&str) -> Option<Arc<Header>>,
    ) -> Result<Self, Refusal> {
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        // A payload with a dot in it, so a token of other than three parts, fails in the decoder.
        let (header_text, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
        let header = match known(header_text) {
            Some(header) => header,
            None => Arc::new(read_header(decode_object(header_text)?.object())?),
        };
        Ok(Self {
            message: message.as_bytes(),
            signature: decode(signature)?,
            header_text,
            header,
            payload: decode_object(payload)?,
        })
    }
}

/// `crit` names extensions that must be understood (RFC 7515 section 4.1.11) and none is; `b64` (RFC 7797) only counts
/// with it. `jwk` and its like bring a key of the sender's choice. `cty` and `zip` say that the payload is not the claims
/// themselves but another token (RFC 7519 section 5.2) or packed (RFC 7516 section 4.1.3).
const REFUSED: [&str; 7] = ["crit", "jwk", "jku", "x5u", "x5c", "cty", "zip"];

fn read_header(header: Object<'_>) -> Result<Header, Refusal> {
    if REFUSED.into_iter().any(|name| header.has(name)) {
        return Err(Refusal::HeaderRefused);
    }
    let algorithm = match header.get("alg") {
        Some(Claim::Text(name)) => Algorithm::named(name).ok_or(Refusal::AlgorithmRefused)?,
        _ => return Err(Refusal::Malformed),
    };
    let kid = match header.get("kid") {
        None => None,
        Some(Claim::Text(kid)) => Some(kid.to_owned()),
        Some(_) => return Err(Refusal::Malformed),
    };
    match header.get("typ") {
        None => {}
        Some(Claim::Text(typ)) if is_access_type(typ) => {}
        Some(Claim::Text(_)) => return Err(Refusal::TokenUseInvalid),
        Some(_) => return Err(Refusal::Malformed),
    }
    Ok(Header { algorithm, kid })
}

/// Whether a token of this `typ` may be an access token (RFC 9068 section 4), or an ID token, which has no name of its own:
/// an issuer signs logout tokens, security events and more with the same key (RFC 8725 section 3.11).
///
/// Media types are compared without case, and `application/` may be left out (RFC 7515 section 4.1.9).
fn is_access_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let name = typ.strip_prefix("application/").unwrap_or(&typ);
    matches!(name, "jwt" | "at+jwt")
}

fn decode_object(part: &str) -> Result<Packed, Refusal> {
    Packed::read(&decode(part)?).ok_or(Refusal::Malformed)
}

/// Base64url without padding, and with no bits left over: one token has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}
