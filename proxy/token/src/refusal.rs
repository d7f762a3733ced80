//! Why a token is refused: a closed set with stable codes, and the challenge that says so (RFC 6750 section 3).

use std::fmt;

/// Why a request's token does not let it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No bearer token came with the request.
    #[error("a bearer token is required")]
    Missing,
    /// More than one place has credentials, so there is more than one reading.
    #[error("send one token, in one place and once")]
    Ambiguous,
    /// Larger than the limit.
    #[error("the token is too large")]
    TooLarge,
    /// Not a JWS in compact form with a JSON header and JSON claims of the right types.
    #[error("the token is malformed")]
    Malformed,
    /// Its header asks for what is never done: `crit`, a key of its own (`jwk`, `jku`, `x5u`, `x5c`), or a payload that is
    /// not the claims themselves (`cty`, `zip`).
    #[error("the token's header carries a parameter that is not accepted")]
    HeaderRefused,
    /// Its `alg` is not the algorithm of the issuer's key.
    #[error("the token's algorithm is not that of the issuer's key")]
    AlgorithmRefused,
    /// No key of the issuer has its `kid`.
    #[error("the token was signed with an unknown key")]
    KeyUnknown,
    /// The signature does not verify.
    #[error("the token's signature is not valid")]
    SignatureInvalid,
    /// `iss` is none of the route's issuers.
    #[error("the token's issuer is not accepted here")]
    IssuerUnknown,
    /// `aud` or `client_id` is none of the issuer's.
    #[error("the token is meant for another audience")]
    AudienceInvalid,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// An ID token where access tokens are asked for, or the reverse, or neither by its `typ` or `events`.
    #[error("the token is of the wrong kind")]
    TokenUseInvalid,
    /// None of the scopes asked for is in it.
    #[error("the token lacks the scope that is asked for")]
    ScopeMissing,
    /// A claim has none of the values asked for.
    #[error("the token lacks a claim value that is asked for")]
    ClaimMismatch,
    /// It has been revoked, or its user or client is gone.
    #[error("the token has been revoked")]
    Revoked,
    /// The issuer's keys have never been loaded.
    #[error("the issuer's keys are not available yet")]
    KeysUnavailable,
    /// What has been revoked is not known freshly enough.
    #[error("revocations are not known at the moment")]
    RevocationsStale,
}

/// What a refusal means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 401 with a bare challenge: authentication is needed.
    Missing,
    /// 400 `invalid_request`.
    InvalidRequest,
    /// 401 `invalid_token`.
    InvalidToken,
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 503: nothing is wrong with the token, the gate cannot tell.
    Unavailable,
}

impl Refusal {
    /// The code in logs, decision records and problem bodies; never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Ambiguous => "authorization_ambiguous",
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::HeaderRefused => "token_header_refused",
            Self::AlgorithmRefused => "algorithm_refused",
            Self::KeyUnknown => "key_unknown",
            Self::SignatureInvalid => "signature_invalid",
            Self::IssuerUnknown => "issuer_unknown",
            Self::AudienceInvalid => "audience_invalid",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::TokenUseInvalid => "token_use_invalid",
            Self::ScopeMissing => "scope_missing",
            Self::ClaimMismatch => "claim_mismatch",
            Self::Revoked => "token_revoked",
            Self::KeysUnavailable => "keys_unavailable",
            Self::RevocationsStale => "revocations_stale",
        }
    }

    /// What it means to the caller.
    pub fn kind(self) -> Kind {
        match self {
            Self::Missing => Kind::Missing,
            Self::Ambiguous => Kind::InvalidRequest,
            Self::ScopeMissing | Self::ClaimMismatch => Kind::InsufficientScope,
            Self::KeysUnavailable | Self::RevocationsStale => Kind::Unavailable,
            _ => Kind::InvalidToken,
        }
    }

    /// The HTTP status: 400, 401, 403 or 503.
    pub fn status(self) -> u16 {
        match self.kind() {
            Kind::Missing | Kind::InvalidToken => 401,
            Kind::InvalidRequest => 400,
            Kind::InsufficientScope => 403,
            Kind::Unavailable => 503,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3), `None` where the status is 503.
    ///
    /// `scopes` are those the route asks for; they are named only where they are what is lacking. A request without a
    /// token learns no error (RFC 6750 section 3.1, last paragraph), and the scheme is never without a parameter (section 3).
    pub fn challenge(self, scopes: &[String]) -> Option<String> {
        let error = match self.kind() {
            Kind::Missing => return Some(SCHEME.into()),
            Kind::Unavailable => return None,
            Kind::InvalidRequest => "invalid_request",
            Kind::InvalidToken => "invalid_token",
            Kind::InsufficientScope => "insufficient_scope",
        };
        let mut value = format!(
            "{SCHEME}, error=\"{error}\", error_description=\"{}\"",
            Description(self)
        );
        if self == Self::ScopeMissing && !scopes.is_empty() {
            value.push_str(", scope=\"");
            value.extend(scopes.join(" ").chars().filter(|c| is_description_char(*c)));
            value.push('"');
        }
        Some(value)
    }
}

/// One protection space for all routes (RFC 9110 section 11.5): a token is not tied to one by where it is asked for.
const SCHEME: &str = r#"Bearer realm="portcullis""#;

/// The message in the characters that `error_description` may hold (RFC 6750 section 3: no quote, no backslash).
struct Description(Refusal);

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        text.chars()
            .filter(|c| is_description_char(*c))
            .try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

fn is_description_char(c: char) -> bool {
    matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_the_challenge_names_no_error() {
        let challenge = Refusal::Missing.challenge(&["pets/read".into()]);
        assert_eq!(challenge.as_deref(), Some("Bearer realm=\"portcullis\""));
    }

    #[test]
    fn a_bad_token_is_named_with_its_reason() {
        assert_eq!(
            Refusal::Expired.challenge(&["a".into()]).as_deref(),
            Some(
                "Bearer realm=\"portcullis\", error=\"invalid_token\", error_description=\"the token has expired\""
            )
        );
    }

    #[test]
    fn a_missing_scope_is_named() {
        assert_eq!(
            Refusal::ScopeMissing
                .challenge(&["pets/read".into(), "pets\"/write".into()])
                .as_deref(),
            Some(
                "Bearer realm=\"portcullis\", error=\"insufficient_scope\", error_description=\"the token lacks the \
                 scope that is asked for\", scope=\"pets/read pets/write\""
            )
        );
        assert_eq!(Refusal::ScopeMissing.status(), 403);
    }

    #[test]
    fn what_the_gate_cannot_tell_is_no_challenge() {
        assert_eq!(Refusal::KeysUnavailable.challenge(&[]), None);
        assert_eq!(Refusal::RevocationsStale.status(), 503);
    }
}
