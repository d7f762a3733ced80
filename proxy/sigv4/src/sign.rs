//! Makes signatures, for operators' commands and for tests.

use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::hmac;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use crate::authorization::Scope;
use crate::canonical::{Request, string_to_sign};
use crate::{ALGORITHM, date, key};

/// A pair of keys, with a token if they are temporary.
#[derive(Clone)]
pub struct Credentials {
    /// As in `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// As in `AWS_SECRET_ACCESS_KEY`.
    pub secret: SecretString,
    /// As in `AWS_SESSION_TOKEN`.
    pub session_token: Option<SecretString>,
}

/// A request that cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsignableRequest {
    /// It names no host.
    #[error("the request has no `host` header")]
    NoHost,
    /// A credential has characters that no header can carry, or the time is beyond the calendar.
    #[error("the credentials or the time cannot be written into a header")]
    NoHeader,
}

/// The headers that make `request` a signed one: `x-amz-date`, `authorization` and, for temporary keys,
/// `x-amz-security-token`. Every header the request has is signed; `host` must be among them.
pub fn sign(
    request: &Request<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: SystemTime,
) -> Result<HeaderMap, UnsignableRequest> {
    if !request.headers.contains_key("host") {
        return Err(UnsignableRequest::NoHost);
    }
    let stamp = date::stamp(date::utc(now)).ok_or(UnsignableRequest::NoHeader)?;
    let mut added = HeaderMap::new();
    insert(&mut added, "x-amz-date", &stamp, false)?;
    if let Some(token) = &credentials.session_token {
        insert(
            &mut added,
            "x-amz-security-token",
            token.expose_secret(),
            true,
        )?;
    }
    let mut headers = request.headers.clone();
    headers.remove(AUTHORIZATION);
    headers.extend(added.clone());
    let scope = Scope {
        date: date::day(&stamp).into(),
        region: region.into(),
        service: service.into(),
    };
    let value = authorization(
        &Request {
            headers: &headers,
            ..*request
        },
        credentials,
        &stamp,
        &scope,
    );
    insert(&mut added, AUTHORIZATION.as_str(), &value, true)?;
    Ok(added)
}

fn authorization(
    request: &Request<'_>,
    credentials: &Credentials,
    stamp: &str,
    scope: &Scope,
) -> String {
    let mut names: Vec<String> = request
        .headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect();
    names.sort_unstable();
    let text = string_to_sign(request, &names, stamp, scope);
    let signature = hex::encode(hmac::sign(
        &key::derive(&credentials.secret, scope),
        text.as_bytes(),
    ));
    format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
        credentials.access_key_id,
        scope.text(),
        names.join(";")
    )
}

fn insert(
    headers: &mut HeaderMap,
    name: &'static str,
    value: &str,
    sensitive: bool,
) -> Result<(), UnsignableRequest> {
    let mut value = HeaderValue::from_str(value).map_err(|_| UnsignableRequest::NoHeader)?;
    value.set_sensitive(sensitive);
    headers.insert(name, value);
    Ok(())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
