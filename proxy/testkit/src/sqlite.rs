//! A store in a file that goes away with its test.

use anyhow::Result;
use tempfile::TempDir;

/// A fresh place for a SQLite store; dropped, it is gone.
#[derive(Debug)]
pub struct SqliteFile(TempDir);

impl SqliteFile {
    /// Makes an empty folder for the store.
    pub fn new() -> Result<Self> {
        Ok(Self(
            tempfile::Builder::new()
                .prefix("portcullis-store.")
                .tempdir()?,
        ))
    }

    /// The store's URL, to be opened with.
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.0.path().join("store.db").display())
    }

    /// The folder that the store is in.
    pub fn folder(&self) -> &std::path::Path {
        self.0.path()
    }
}
