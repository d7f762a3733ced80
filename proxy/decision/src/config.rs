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
}
