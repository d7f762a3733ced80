//! Tokens: JWS and JWK, verified to [`Claims`]; key sets and their refresh; what the engine must answer about keys and
//! revocations.
//!
//! Stands between routing and the decision on a request's way. Verification is pure; only key refresh does I/O.

mod algorithm;
mod bearer;
mod claims;
mod config;
mod issuer;
mod jws;
mod keys;
mod packed;
mod refusal;
mod requirements;
mod revocation;
mod transport;
mod verifier;
mod verify;

pub use algorithm::Algorithm;
pub use bearer::{b64token, bearer};
pub use claims::Claims;
pub use config::{Kind, TokenUse};
pub use issuer::{Audience, Issuer, Naming, Rules};
pub use keys::{
    BoxFuture, FetchError, FetchLimits, Ignored, Key, KeySet, KeySetStatus, Keys, MalformedKeySet,
    RemoteKeys, Source,
};
pub use packed::{Claim, List, Object, Packed};
pub use refusal::{Kind as RefusalKind, Refusal};
pub use requirements::Requirements;
pub use revocation::{
    Feed, Followed, FollowedStatus, OnStale, Revocations, Sign, Standing, jti_ms,
};
pub use transport::{NoCertificate, Proxy, Transport};
pub use verifier::{Grounds, IssuerIndex, Limits, SameIssuer, Verified, Verifier};
pub use verify::{MAX_TOKEN_BYTES, Unverified, verify};

#[cfg(test)]
mod fixture;
