//! One fetch of a key set over HTTP, by discovery (OpenID Connect Discovery 1.0 section 4) or from a given URL.

use std::net::IpAddr;

use reqwest::{Client, header::HeaderMap};
use serde_json::Value;
use url::{Host, Url};

use super::{FetchLimits, Source};
use crate::{Key, MalformedKeySet, keys::jwk, packed};

/// Why an issuer's keys, or what it has revoked, could not be fetched. URLs are shown without user, password, query and fragment.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Neither HTTPS nor a loopback address, or with a password in it.
    #[error(
        "`{0}` is not fetched: https is required (http only to a loopback address), without user or password"
    )]
    Unsafe(String),
    /// Not a URL.
    #[error("`{url}` is not a URL")]
    Url {
        /// What was to be one.
        url: String,
        /// Why it is none.
        source: url::ParseError,
    },
    /// No answer: connection, TLS, time.
    #[error("no answer from `{url}`")]
    Http {
        /// What was to be fetched.
        url: String,
        /// What went wrong; without its URL.
        source: reqwest::Error,
    },
    /// An answer other than 200; redirects are not followed.
    #[error("`{url}` answered {status}")]
    Status {
        /// What was fetched.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// Larger than the limit.
    #[error("`{0}` answered more than the limit")]
    TooLarge(String),
    /// The discovery document is none, or lacks `jwks_uri`.
    #[error("`{0}` is not a discovery document")]
    Discovery(String),
    /// The discovery document is another issuer's (section 4.3).
    #[error("the discovery document at `{url}` names another issuer, `{issuer}`")]
    OtherIssuer {
        /// Where it is.
        url: String,
        /// Whom it names.
        issuer: String,
    },
    /// Not a JWK set.
    #[error("`{url}` answered what cannot be used")]
    Malformed {
        /// What was fetched.
        url: String,
        /// What it is.
        source: MalformedKeySet,
    },
    /// A JWK set of more keys than are looked at.
    #[error("the key set at `{url}` has {keys} keys, more than the limit of {limit}")]
    TooManyKeys {
        /// What was fetched.
        url: String,
        /// How many it has.
        keys: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Not revocations, or of a kind that is not known here.
    #[error("`{0}` answered no revocations that can be used")]
    NoRevocations(String),
    /// A request that cannot be signed.
    #[error("the request to `{0}` cannot be signed with the credentials given")]
    Unsigned(String),
    /// A JWK set without one key that can verify.
    #[error("the key set at `{0}` has no key that can be used")]
    NoKey(String),
}

/// A key set as fetched.
pub(super) struct Fetched {
    pub(super) keys: Vec<Key>,
    /// The array `keys` it was read from.
    pub(super) document: Value,
}

/// Why a document gives no keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unusable {
    Malformed,
    TooMany(usize),
    NoKey,
}

impl Fetched {
    /// Reads a JWK set of at most so many keys.
    pub(super) fn parse(document: &[u8], limit: usize) -> Result<Self, Unusable> {
        let mut set = packed::tree(document).ok_or(Unusable::Malformed)?;
        let document = set.remove("keys").ok_or(Unusable::Malformed)?;
        let jwks = document.as_array().ok_or(Unusable::Malformed)?;
        // Before any is parsed, which costs more than to read it.
        if jwks.len() > limit {
            return Err(Unusable::TooMany(jwks.len()));
        }
        let (keys, ignored) = jwk::parse_all(jwks);
        for reason in ignored {
            tracing::debug!(%reason, "A key of a fetched key set is not used");
        }
        if keys.is_empty() {
            return Err(Unusable::NoKey);
        }
        Ok(Self { keys, document })
    }
}

/// Fetches one issuer's keys.
pub(super) struct Fetcher {
    client: Client,
    issuer: String,
    given: Option<Url>,
    discovered: Option<Url>,
    /// The issuer itself is spoken to over a loopback address, so its keys may be too.
    is_local: bool,
    limits: FetchLimits,
}

impl Fetcher {
    pub(super) fn new(source: &Source) -> Result<Self, FetchError> {
        let start = match &source.jwks_uri {
            Some(url) => url.clone(),
            None => discovery_url(&source.issuer)?,
        };
        // What a proxy calls its loopback address is not ours.
        let is_local = is_loopback(&start) && !source.transport.is_proxied();
        check_safe(&start, is_local)?;
        let client = source
            .transport
            .client(source.limits.timeout)
            .map_err(|source| no_answer(&start, source))?;
        Ok(Self {
            client,
            issuer: source.issuer.clone(),
            given: source.jwks_uri.clone(),
            discovered: None,
            is_local,
            limits: source.limits,
        })
    }

    /// Fetches the keys. Where they were found by discovery and are gone, discovery is done again next time.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let url = match self.given.clone().or_else(|| self.discovered.take()) {
            Some(url) => url,
            None => self.discover().await?,
        };
        let document = self.read(&url).await?;
        let fetched = Fetched::parse(&document, self.limits.keys)
            .map_err(|why| unusable(why, shown(&url), self.limits.keys))?;
        self.discovered = Some(url);
        Ok(fetched)
    }

    async fn discover(&self) -> Result<Url, FetchError> {
        let url = discovery_url(&self.issuer)?;
        let document = packed::tree(&self.read(&url).await?)
            .ok_or_else(|| FetchError::Discovery(shown(&url)))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let issuer = text("issuer").ok_or_else(|| FetchError::Discovery(shown(&url)))?;
        if issuer != self.issuer {
            return Err(FetchError::OtherIssuer {
                url: shown(&url),
                issuer: issuer.to_owned(),
            });
        }
        let jwks_uri = text("jwks_uri").ok_or_else(|| FetchError::Discovery(shown(&url)))?;
        let jwks_uri = parse(jwks_uri)?;
        check_safe(&jwks_uri, self.is_local)?;
        Ok(jwks_uri)
    }

    async fn read(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let limit = self.limits.document_bytes;
        read(&self.client, url, HeaderMap::new(), limit).await
    }
}

/// The body of a 200, up to a size.
pub(crate) async fn read(
    client: &Client,
    url: &Url,
    headers: HeaderMap,
    limit: usize,
) -> Result<Vec<u8>, FetchError> {
    let request = client.get(url.clone()).headers(headers);
    let sent = request.send().await;
    let mut response = sent.map_err(|source| no_answer(url, source))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status {
            url: shown(url),
            status: response.status().as_u16(),
        });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| no_answer(url, source))?
    {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge(shown(url)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unusable(why: Unusable, url: String, limit: usize) -> FetchError {
    match why {
        Unusable::Malformed => FetchError::Malformed {
            url,
            source: MalformedKeySet,
        },
        Unusable::TooMany(keys) => FetchError::TooManyKeys { url, keys, limit },
        Unusable::NoKey => FetchError::NoKey(url),
    }
}

/// Section 4.1: a slash at the issuer's end is taken off first.
fn discovery_url(issuer: &str) -> Result<Url, FetchError> {
    parse(&format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    ))
}

fn parse(url: &str) -> Result<Url, FetchError> {
    Url::parse(url).map_err(|source| FetchError::Url {
        url: url.to_owned(),
        source,
    })
}

pub(crate) fn check_safe(url: &Url, allow_local: bool) -> Result<(), FetchError> {
    let is_safe = match url.scheme() {
        "https" => true,
        "http" => allow_local && is_loopback(url),
        _ => false,
    };
    if is_safe && url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(FetchError::Unsafe(shown(url)))
}

pub(crate) fn no_answer(url: &Url, source: reqwest::Error) -> FetchError {
    FetchError::Http {
        url: shown(url),
        source: source.without_url(),
    }
}

/// The URL without what may be secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // Neither can fail for a URL with a host, and one without has nothing to hide.
    let _ = (shown.set_password(None), shown.set_username(""));
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}
