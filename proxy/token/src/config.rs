//! Words that the settings and the rules of tokens share.

use schemars::JsonSchema;
use serde::Deserialize;

/// The rules an issuer's tokens follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Cognito: `token_use`, `client_id`, `cognito:groups`.
    Cognito,
    /// OpenID Connect or OAuth with JWT access tokens.
    Oidc,
}

/// A Cognito token's kind, its `token_use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenUse {
    /// `access`
    Access,
    /// `id`
    Id,
}
