//! How an issuer is written in the settings.

use schemars::JsonSchema;
use serde::Deserialize;

/// One issuer under `issuers:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A pool of the embedded engine, asked in process (then `kind`, `issuer` and `jwks_uri` are absent).
    #[serde(default)]
    pub embedded: Option<String>,
    /// Which rules its tokens follow.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// The exact `iss` of its tokens.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Where its keys are; found by discovery when absent.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Client ids accepted (`client_id` of access tokens, `aud` of ID tokens), kind `cognito`.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Audiences accepted (`aud`), kind `oidc`.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// How the principal is named in policies.
    #[serde(default)]
    pub principal: Option<Principal>,
}

/// The rules an issuer's tokens follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Cognito: `token_use`, `client_id`, `cognito:groups`.
    Cognito,
    /// OpenID Connect or OAuth with JWT access tokens.
    Oidc,
}

/// Principal `"<prefix>|<claim>"`, groups `"<prefix>|<group>"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Before the bar, without `|`; the pool id for Cognito issuers, nothing for others, when absent. Issuers whose callers
    /// the same policies decide about need one each, no two alike.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The claim behind the bar; `sub` when absent.
    #[serde(default)]
    pub claim: Option<String>,
    /// The claim with the groups; `cognito:groups` for Cognito issuers, `groups` for others, when absent.
    #[serde(default)]
    pub group_claim: Option<String>,
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
