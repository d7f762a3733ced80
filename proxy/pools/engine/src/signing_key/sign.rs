//! Making one signature.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use serde::Serialize;

use crate::{Error, Result};

/// A private key, parsed once, with the header of its tokens.
pub(crate) struct SigningKey {
    header: String,
    pair: RsaKeyPair,
}

impl SigningKey {
    /// Reads PKCS#8.
    pub(crate) fn read(kid: &str, pkcs8: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8)
            .map_err(|source| Error::corrupt("signing key", source))?;
        let header = serde_json::to_vec(&Header { kid, alg: "RS256" })
            .map_err(|source| Error::corrupt("signing key", source))?;
        Ok(Self {
            header: BASE64_URL.encode(header),
            pair,
        })
    }

    /// The claims as a JWS in compact form (RFC 7515 section 7.1), RS256.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let claims =
            serde_json::to_vec(claims).map_err(|source| Error::corrupt("claims", source))?;
        let mut token = String::with_capacity(self.header.len() + claims.len() * 4 / 3 + 360);
        token.push_str(&self.header);
        token.push('.');
        BASE64_URL.encode_string(&claims, &mut token);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            // RSASSA-PKCS1-v1_5 draws nothing from the generator.
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                token.as_bytes(),
                &mut signature,
            )
            .map_err(|_| Error::Crypto("signing a token"))?;
        token.push('.');
        BASE64_URL.encode_string(&signature, &mut token);
        Ok(token)
    }
}

/// Exactly these two members in this order, as AWS.
#[derive(Serialize)]
struct Header<'k> {
    kid: &'k str,
    alg: &'k str,
}
