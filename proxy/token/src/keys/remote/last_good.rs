//! The last good key set of an issuer, on disk: what a gate starts with while the issuer is down.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Source, fetch::Fetched};
use crate::packed;

/// The file of one issuer's last good set.
pub(super) struct LastGood {
    path: PathBuf,
    /// Whose keys these are: a set kept for other settings is not used.
    owner: Value,
    /// The most keys a set may have.
    most: usize,
}

/// A set that was kept.
pub(super) struct Kept {
    pub(super) keys: Fetched,
    /// How long ago it was written.
    pub(super) age: Duration,
}

impl LastGood {
    pub(super) fn new(dir: &Path, source: &Source) -> Self {
        let owner = json!({"issuer": source.issuer, "jwks_uri": source.jwks_uri.as_ref().map(url::Url::as_str)});
        Self {
            path: dir
                .join("keys")
                .join(format!("{}.json", file_name(&source.name))),
            owner,
            most: source.limits.keys,
        }
    }

    /// The set, if there is one, or why it cannot be used.
    pub(super) fn load(&self) -> Result<Option<Kept>, String> {
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.complaint(&format!("cannot be read: {error}"))),
        };
        let kept = packed::tree(&content).ok_or_else(|| self.complaint("is damaged"))?;
        if kept.get("source") != Some(&self.owner) {
            return Err(self.complaint("was fetched for other settings of the issuer"));
        }
        let set = kept.get("set").map(ToString::to_string).unwrap_or_default();
        let keys =
            Fetched::parse(set.as_bytes(), self.most).map_err(|_| self.complaint("is damaged"))?;
        let written = fs::metadata(&self.path).and_then(|meta| meta.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        let age = age.unwrap_or_default();
        Ok(Some(Kept { keys, age }))
    }

    /// Something about the file, for operators.
    pub(super) fn complaint(&self, what: &str) -> String {
        format!("`{}` {what}", self.path.display())
    }

    /// Keeps a set; whole or not at all.
    pub(super) fn save(&self, document: &Value) -> io::Result<()> {
        let content = json!({"source": self.owner, "set": {"keys": document}}).to_string();
        if let Some(dir) = self.path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let fresh = self.path.with_extension("json.new");
        // The keys are public; that nobody else may write them is what matters.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}

/// A name from the settings as a file name: what is not plainly one is written as its hexadecimal bytes.
fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02x}")
            }
        })
        .collect()
}
