//! Who vouches for the certificates of callers.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use settings::ClientCertificates;

use super::certificate;

/// The authorities of a listener, and what they revoked.
#[derive(Debug)]
pub(super) struct Callers(Arc<dyn ClientCertVerifier>);

impl Callers {
    /// Loads what the settings name.
    pub(super) fn load(settings: &ClientCertificates) -> Result<Self, String> {
        settings.verifier().map(Self)
    }

    /// Whether a caller who shows this chain may connect now; its leaf is first.
    pub(super) fn take(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> bool {
        let Some((leaf, between)) = chain.split_first() else {
            return !self.0.client_auth_mandatory();
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(now);
        self.verify_client_cert(leaf, between, now).is_ok()
    }
}

impl ClientCertVerifier for Callers {
    /// INVARIANT: what is taken can be read. Pingora reads it too, with the same parser, and panics where it cannot.
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(leaf, between, now)?;
        match certificate::read(leaf) {
            Ok(_) => Ok(verified),
            Err(certificate::Unreadable) => Err(CertificateError::BadEncoding.into()),
        }
    }

    // All else is as it is.

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
