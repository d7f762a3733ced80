//! How the engine is written in the settings, under `pools:`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// The embedded engine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `sqlite:FILE` or `postgres://…` (as a secret source where it holds a password).
    pub store: String,
    /// The key that seals secrets at rest: 32 bytes as 64 hexadecimal digits.
    pub seal: Secret,
    /// Where callers reach the pools; issuers are made of it.
    pub public_url: Url,
    /// What stands in `iss`.
    #[serde(default)]
    pub issuer: IssuerForm,
    /// AWS region in ids and ARNs.
    #[serde(default = "region")]
    pub region: String,
    /// AWS account in ARNs.
    #[serde(default = "account")]
    pub account: String,
    /// Development outbox: messages are appended to this file as JSON lines.
    #[serde(default)]
    pub outbox: Option<PathBuf>,
    /// Who may sign admin calls.
    #[serde(default)]
    pub operators: Vec<Operator>,
    /// Pools made if they are absent.
    #[serde(default)]
    pub declare: Vec<DeclaredPool>,
}

/// A secret that is read from a file or the environment, never written in the settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Secret {
    /// The content of a file, trailing newline aside.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
}

/// What stands in `iss`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerForm {
    /// `{public_url}/{poolId}`
    #[default]
    PublicUrl,
    /// `https://cognito-idp.{region}.amazonaws.com/{poolId}`
    Aws,
}

/// A pair of AWS-style keys whose holder may make admin calls on some pools.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// As in `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// As in `AWS_SECRET_ACCESS_KEY`.
    pub secret: Secret,
    /// Pool ids, or `*` for all and for what belongs to no pool.
    pub pools: Vec<String>,
}

/// A pool that is made if it is absent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredPool {
    /// `<region>_<alphanumerics>`
    pub id: String,
    /// Its name; the id when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Attributes verified at sign-up: `email`, `phone_number`.
    #[serde(default)]
    pub auto_verified_attributes: Vec<String>,
    /// Its app clients.
    #[serde(default)]
    pub clients: Vec<DeclaredClient>,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An app client that is made if it is absent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredClient {
    /// Its id.
    pub id: String,
    /// Its name; the id when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// `ALLOW_…` or the short names (`USER_SRP_AUTH`); AWS's default when empty.
    #[serde(default)]
    pub flows: Vec<String>,
}

fn region() -> String {
    "us-east-1".into()
}

fn account() -> String {
    "000000000000".into()
}
