//! Why a signature is refused, in the words of AWS's services.

/// A signature that does not stand; the text is AWS's and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request carries no signature.
    #[error("Missing Authentication Token")]
    Missing,
    /// Parts of the signature are missing or unreadable.
    #[error("{0}")]
    Incomplete(String),
    /// The signature is for another service, date or set of headers, or is too old.
    #[error("{0}")]
    Invalid(String),
    /// The signature is not what the secret makes of this request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}
