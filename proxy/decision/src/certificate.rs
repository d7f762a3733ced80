//! The names in a certificate that a caller showed, which policies and the headers to upstreams know it by.

use std::slice;

use serde::Deserialize;

/// The certificate that a caller's connection was opened with, by its names. Whoever opened it has the key, and an authority
/// that the settings name vouches for the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificate {
    /// The subject, as RFC 4514 writes it; empty where it has none.
    pub subject: String,
    /// DNS names, in lower case.
    pub dns: Vec<String>,
    /// URIs, a SPIFFE ID among them.
    pub uris: Vec<String>,
    /// Addresses of mail.
    pub emails: Vec<String>,
    /// IP addresses.
    pub ips: Vec<String>,
    /// SHA-256 of the whole certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// The serial number, in hexadecimal digits.
    pub serial: String,
}

/// What a [`Certificate`] says, by its name in policies and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateField {
    /// `subject`
    Subject,
    /// `dns`
    Dns,
    /// `uris`
    Uris,
    /// `emails`
    Emails,
    /// `ips`
    Ips,
    /// `fingerprint`
    Fingerprint,
    /// `serial`
    Serial,
}

impl Certificate {
    /// All values of a field; one where it is no list.
    pub fn values(&self, field: CertificateField) -> &[String] {
        match field {
            CertificateField::Subject => slice::from_ref(&self.subject),
            CertificateField::Dns => &self.dns,
            CertificateField::Uris => &self.uris,
            CertificateField::Emails => &self.emails,
            CertificateField::Ips => &self.ips,
            CertificateField::Fingerprint => slice::from_ref(&self.fingerprint),
            CertificateField::Serial => slice::from_ref(&self.serial),
        }
    }
}

impl CertificateField {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Subject,
        Self::Dns,
        Self::Uris,
        Self::Emails,
        Self::Ips,
        Self::Fingerprint,
        Self::Serial,
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }

    /// The names of all, as a message lists them.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Dns => "dns",
            Self::Uris => "uris",
            Self::Emails => "emails",
            Self::Ips => "ips",
            Self::Fingerprint => "fingerprint",
            Self::Serial => "serial",
        }
    }

    /// Whether a certificate may have several.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Dns | Self::Uris | Self::Emails | Self::Ips)
    }
}
