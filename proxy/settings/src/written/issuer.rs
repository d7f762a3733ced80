//! An issuer as it is written: whose tokens, where its keys are, how its callers are named.

use std::path::PathBuf;

use engine::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// One issuer under `issuers:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// A pool of the embedded engine, asked in process (then `kind`, `issuer` and `jwks_uri` are absent).
    #[serde(default)]
    pub embedded: Option<String>,
    /// Which rules its tokens follow.
    #[serde(default)]
    pub kind: Option<token::Kind>,
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
    /// How keys are fetched, where that is not directly and under the machine's certificate authorities.
    #[serde(default)]
    pub fetch: Option<Fetch>,
    /// Where the pool tells what it has revoked, for a pool that another Portcullis serves; kind `cognito`. Without it a
    /// token is good until it expires.
    #[serde(default)]
    pub revocations: Option<Revocations>,
}

/// A pool's revocations, asked for every second.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// `https://…/{poolId}/revocations`, beside the pool's other pages.
    pub url: String,
    /// How old they may be, `5s` to `24h`; `30s` when absent.
    #[serde(default)]
    pub max_stale: Option<String>,
    /// What becomes of the pool's tokens when they are older, or were never heard of.
    #[serde(default)]
    pub on_stale: token::OnStale,
    /// One of the operators of that pool.
    pub operator: Signer,
}

/// Who signs a call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// As in `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// As in `AWS_SECRET_ACCESS_KEY`.
    pub secret: Secret,
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

/// The way to an issuer's keys.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// A PEM file of the only certificate authorities that may vouch for the issuer; the machine's when absent.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// A forward proxy; none when absent, whatever the environment says.
    #[serde(default)]
    pub proxy: Option<Proxy>,
}

/// A forward proxy, asked with `CONNECT`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// `http://host:port`, or `https://host:port` where the proxy's certificate is checked as the issuer's is.
    pub url: String,
    /// Who asks, where the proxy wants to know (Basic authentication).
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
}
