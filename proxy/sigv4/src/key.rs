//! The signing key, derived from the secret for one day, region and service.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use secrecy::{ExposeSecret as _, SecretString};

use crate::TERMINATOR;
use crate::authorization::Scope;

/// The key that signs requests of that scope.
pub(crate) fn derive(secret: &SecretString, scope: &Scope) -> Key {
    let start = SecretString::from(format!("AWS4{}", secret.expose_secret()));
    let mut key = Key::new(HMAC_SHA256, start.expose_secret().as_bytes());
    for part in [
        scope.date.as_str(),
        &scope.region,
        &scope.service,
        TERMINATOR,
    ] {
        key = Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> digest::Digest {
    digest(&digest::SHA256, bytes)
}
