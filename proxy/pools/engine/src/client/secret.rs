//! Client secrets, and the proofs that a caller knows one.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use zeroize::Zeroizing;

use super::Client;
use crate::{Error, Result};

/// A live secret of a client. `Debug` shows its id alone.
#[derive(Clone)]
pub struct Secret {
    id: String,
    text: Arc<Zeroizing<String>>,
    created_ms: Option<i64>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Secret").field(&self.id).finish()
    }
}

impl Secret {
    pub(super) fn new(id: String, text: Zeroizing<String>, created_ms: Option<i64>) -> Self {
        Self {
            id,
            text: Arc::new(text),
            created_ms,
        }
    }

    /// What tells it from the client's other one.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret itself, for the operator who may describe the client.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// When it was made, in epoch milliseconds; `None` before it is stored.
    pub fn created_ms(&self) -> Option<i64> {
        self.created_ms
    }
}

/// `SECRET_HASH` is the base64 of HMAC-SHA-256 under the secret over user name and client id (AWS, "Computing secret
/// hash values").
pub(super) fn check_hash(client: &Client, username: &str, given: Option<&str>) -> Result<()> {
    let Some(given) = presence(client, given, "SECRET_HASH")? else {
        return Ok(());
    };
    let wrong = || {
        Error::not_authorized(format!(
            "Unable to verify secret hash for client {}",
            client.id()
        ))
    };
    let given = BASE64.decode(given).map_err(|_| wrong())?;
    let message = [username.as_bytes(), client.id().as_bytes()].concat();
    let fits = client.secrets().iter().fold(false, |fits, secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        hmac::verify(&key, &message, &given).is_ok() | fits
    });
    if fits { Ok(()) } else { Err(wrong()) }
}

pub(super) fn check_plain(client: &Client, given: Option<&str>) -> Result<()> {
    let Some(given) = presence(client, given, "ClientSecret")? else {
        return Ok(());
    };
    let fits = client.secrets().iter().fold(false, |fits, secret| {
        verify_slices_are_equal(secret.expose().as_bytes(), given.as_bytes()).is_ok() | fits
    });
    if fits {
        Ok(())
    } else {
        Err(Error::not_authorized(format!(
            "Unable to verify secret for client {}",
            client.id()
        )))
    }
}

/// The proof to check, if the client has a secret.
fn presence<'g>(client: &Client, given: Option<&'g str>, name: &str) -> Result<Option<&'g str>> {
    match (client.has_secret(), given) {
        (true, Some(given)) => Ok(Some(given)),
        (false, None) => Ok(None),
        (true, None) => Err(Error::not_authorized(format!(
            "Client {} is configured with secret but {name} was not received",
            client.id()
        ))),
        (false, Some(_)) => Err(Error::not_authorized(format!(
            "Client {} is not configured with secret but {name} was received",
            client.id()
        ))),
    }
}
