//! How a policy directory is written in the settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// One policy directory under `policies:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A directory of `.cedar` files with one `.cedarschema`.
    pub path: PathBuf,
    /// Cedar entity type of callers, as `PetStore::User`.
    pub principal: String,
    /// Cedar entity type of groups, as `PetStore::UserGroup`.
    #[serde(default)]
    pub group: Option<String>,
    /// Memory for decisions that come again, in bytes, some hundreds each; 0 decides every request anew.
    #[serde(default = "remembered_bytes")]
    pub remembered_bytes: u64,
}

impl Config {
    /// What `remembered_bytes` is where nobody says.
    pub const REMEMBERED_BYTES: u64 = 32 << 20;
}

fn remembered_bytes() -> u64 {
    Config::REMEMBERED_BYTES
}
