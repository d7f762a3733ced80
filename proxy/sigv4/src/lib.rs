//! AWS Signature Version 4 in the `Authorization` header: verified for the gate and the API, made for calls to either.
//!
//! Pure: the time is an argument and nothing is read or sent. In the way of a call this stands between the decoded head and
//! the caller: [`Authorization::parse`] says who claims to call, and [`verify`] proves it with that one's secret.
//! See <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

mod authorization;
mod canonical;
mod date;
mod key;
mod refusal;
mod sign;
mod verify;

pub use authorization::{Authorization, Scope};
pub use canonical::{Payload, Request};
pub use refusal::Refusal;
pub use sign::{Credentials, UnsignableRequest, sign};
pub use verify::verify;

/// The algorithm, as it stands in headers and in the string to sign.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last part of a credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

#[cfg(test)]
mod tests;
