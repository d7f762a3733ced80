//! How the engine is written in the settings, under `pools:`.

use std::path::PathBuf;
use std::thread::available_parallelism;

use argon2::Params;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// The embedded engine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept.
    pub store: StoreUrl,
    /// The key that seals secrets at rest: 32 bytes as 64 hexadecimal digits.
    pub seal: Secret,
    /// Keys that sealed earlier; they only open. What they sealed is sealed again with `seal` after the start.
    #[serde(default)]
    pub seal_previous: Vec<Secret>,
    /// What a password's hash costs.
    #[serde(default)]
    pub hashing: Hashing,
    /// When signing keys change.
    #[serde(default)]
    pub signing_keys: SigningKeys,
    /// Where callers reach the pools; issuers are made of it.
    #[serde(deserialize_with = "web_url")]
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

impl Config {
    /// The exact `iss` of a pool's tokens.
    pub fn issuer_of(&self, pool_id: &str) -> String {
        match self.issuer {
            IssuerForm::PublicUrl => format!("{}/{pool_id}", self.public_url()),
            IssuerForm::Aws => {
                // The region of the pool's own id: a pool declared for another keeps it.
                let region = pool_id
                    .split_once('_')
                    .map_or(self.region.as_str(), |(region, _)| region);
                format!("https://cognito-idp.{region}.amazonaws.com/{pool_id}")
            }
        }
    }

    /// Where callers reach the pools, without a slash at the end.
    pub(crate) fn public_url(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }
}

/// `sqlite:FILE` or `postgres://…`, or a secret source of it where it holds a password.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StoreUrl {
    /// Written out.
    Url(String),
    /// Read from a file or the environment.
    Secret(Secret),
}

/// The cost of a password's hash, and how many are made at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hashing {
    /// Parameters of argon2id.
    pub profile: HashProfile,
    /// Threads that hash; as many as the machine has processors when absent.
    pub threads: Option<u16>,
    /// Steps of sign-ins and other hashes that may wait or be done at once; beyond it callers are told `TooManyRequestsException`.
    pub queue: usize,
}

/// Parameters of argon2id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashProfile {
    /// 2 passes over 19 MiB, OWASP's first choice.
    #[default]
    Cognito,
    /// 1 pass over 46 MiB, as OWASP ASVS 5.0.0 appendix C approves it.
    Nist,
}

/// When signing keys change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigningKeys {
    /// Days a pool's keys are in use before others take over; 0 for rotation by command alone.
    pub rotation_days: u32,
    /// Hours the next keys stand in the key set before the schedule puts them to use.
    pub publish_ahead_hours: u32,
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
    /// Whether answers hide who has an account (AWS's `PreventUserExistenceErrors`). The default is `ENABLED`; clients
    /// made by API calls have AWS's, `LEGACY`.
    #[serde(default)]
    pub prevent_user_existence_errors: ExistenceErrors,
}

/// Whether an app client's answers hide who has an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExistenceErrors {
    /// An absent user looks like one whose password or code was wrong.
    #[default]
    Enabled,
    /// An absent user is named as such.
    Legacy,
}

impl ExistenceErrors {
    /// As in AWS's `PreventUserExistenceErrors`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Legacy => "LEGACY",
        }
    }
}

impl Hashing {
    pub(crate) fn params(&self) -> Result<Params, argon2::Error> {
        let (memory_kib, passes) = match self.profile {
            HashProfile::Cognito => (19 * 1024, 2),
            HashProfile::Nist => (46 * 1024, 1),
        };
        Params::new(memory_kib, passes, 1, None)
    }

    pub(crate) fn threads(&self) -> u16 {
        self.threads
            .filter(|threads| *threads > 0)
            .unwrap_or_else(|| {
                available_parallelism()
                    .ok()
                    .and_then(|cores| u16::try_from(cores.get()).ok())
                    .unwrap_or(1)
            })
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            profile: HashProfile::default(),
            threads: None,
            queue: 256,
        }
    }
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self {
            rotation_days: 90,
            publish_ahead_hours: 24,
        }
    }
}

/// A URL; what is none is told as it is written, unless it may hold a password.
fn web_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| {
        let form = "is not a URL as `https://auth.example.com`";
        if text.contains('@') || text.len() > 100 {
            D::Error::custom(form)
        } else {
            D::Error::custom(format!("`{text}` {form}"))
        }
    })
}

fn region() -> String {
    "us-east-1".into()
}

fn account() -> String {
    "000000000000".into()
}
