//! Logs and records, as the settings say where they go.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Logs and records.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level as `info`, or a `tracing` filter as `warn,portcullis=debug`; `info` when absent.
    pub level: Option<String>,
    /// Decision records' file, `stdout` or `none`; standard output when absent.
    pub decisions: Decisions,
    /// A line for each request; none when absent.
    pub access: Option<AccessLog>,
    /// The log's file; standard error when absent.
    pub file: Option<PathBuf>,
}

/// Where decision records go.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Option<String>")]
pub enum Decisions {
    /// There.
    To(Output),
    /// Nobody wants them: `none`.
    Nowhere,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// Its file, or `stdout`.
    pub file: Output,
    /// The form of its lines.
    #[serde(default)]
    pub format: AccessFormat,
}

/// The form of the access log's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessFormat {
    /// A JSON object with all that is known.
    #[default]
    Json,
    /// NCSA's Common Log Format.
    Common,
    /// The same with `Referer` and `User-Agent` behind it.
    Combined,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum Output {
    /// To standard output: `stdout`.
    Stdout,
    /// To a file.
    File(PathBuf),
}

impl Output {
    /// The file, if it is one.
    pub(crate) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File(file) => Some(file),
        }
    }
}

impl From<PathBuf> for Output {
    fn from(file: PathBuf) -> Self {
        if file.as_os_str() == STDOUT {
            Self::Stdout
        } else {
            Self::File(file)
        }
    }
}

impl Default for Decisions {
    fn default() -> Self {
        Self::To(Output::Stdout)
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PathBuf::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stdout => serializer.serialize_str(STDOUT),
            Self::File(file) => file.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Decisions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = Option::<PathBuf>::deserialize(deserializer)?;
        Ok(match file {
            None => Self::default(),
            Some(word) if word.as_os_str() == NONE => Self::Nowhere,
            Some(file) => Self::To(file.into()),
        })
    }
}

impl Serialize for Decisions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::To(output) => output.serialize(serializer),
            Self::Nowhere => serializer.serialize_str(NONE),
        }
    }
}

const STDOUT: &str = "stdout";
/// Takes the place of a file where there is to be none.
pub(crate) const NONE: &str = "none";
