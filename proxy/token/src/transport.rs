//! How another service is asked, as an issuer for what it publishes: under which certificates, through which proxy. Nothing of
//! it comes from the environment.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Certificate, Client, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The way to a service; directly and under the machine's certificate authorities where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    ca: Option<Arc<[u8]>>,
    proxy: Option<Proxy>,
}

/// A forward proxy, asked with `CONNECT` (RFC 9110 section 9.3.6).
#[derive(Clone)]
pub struct Proxy {
    /// `http://host:port` or `https://host:port`.
    pub url: Url,
    /// User and password, for Basic authentication (RFC 7617).
    pub credentials: Option<(String, SecretString)>,
}

/// What was given as certificate authorities holds no certificate in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds no certificate in PEM")]
pub struct NoCertificate;

impl Transport {
    /// A way where only these authorities vouch for the server, if any are given, and through this proxy, if there is one.
    pub fn new(ca: Option<Vec<u8>>, proxy: Option<Proxy>) -> Result<Self, NoCertificate> {
        if let Some(pem) = &ca {
            certificates(pem)?;
        }
        Ok(Self {
            ca: ca.map(Arc::from),
            proxy,
        })
    }

    /// Whether requests leave this machine whatever their URL says, since a proxy sends them on.
    pub(crate) fn is_proxied(&self) -> bool {
        self.proxy.is_some()
    }

    /// A client that goes this way, follows no redirect, unpacks nothing, and gives a request so long in all.
    pub fn client(&self, timeout: Duration) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(timeout)
            .no_proxy();
        if let Some(pem) = &self.ca {
            // It has been read before: nothing is left out here.
            builder = builder.tls_certs_only(certificates(pem).unwrap_or_default());
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.to_reqwest()?);
        }
        builder.build()
    }
}

impl Proxy {
    fn to_reqwest(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.url.as_str())?;
        Ok(match &self.credentials {
            Some((user, password)) => proxy.basic_auth(user, password.expose_secret()),
            None => proxy,
        })
    }

    fn parts(&self) -> (&Url, Option<(&str, &str)>) {
        let credentials = self.credentials.as_ref();
        let credentials =
            credentials.map(|(user, password)| (user.as_str(), password.expose_secret()));
        (&self.url, credentials)
    }
}

/// So that a reload notices what has changed, a password included. Nobody measures how long it takes.
impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Proxy {}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, NoCertificate> {
    let certificates = Certificate::from_pem_bundle(pem).map_err(|_| NoCertificate)?;
    if certificates.is_empty() {
        return Err(NoCertificate);
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_password_is_another_way() {
        let proxy = |password: &str| Proxy {
            url: "http://proxy.test:3128".parse().unwrap(),
            credentials: Some(("gate".into(), password.into())),
        };
        let way = |password| Transport::new(None, Some(proxy(password))).unwrap();
        assert_eq!(way("a"), way("a"));
        assert_ne!(way("a"), way("b"));
        assert_ne!(way("a"), Transport::default());
        assert!(!format!("{:?}", way("hunter2")).contains("hunter2"));
    }

    #[test]
    fn authorities_are_certificates() {
        for bad in [
            "",
            "text",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert_eq!(
                Transport::new(Some(bad.into()), None),
                Err(NoCertificate),
                "{bad}"
            );
        }
    }
}
