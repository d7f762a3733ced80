//! An engine that holds still: its clock moves only when it is moved, and its randomness follows from a seed.

use std::fs;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use ::engine::testing::{FixedClock, SeededRng};
use ::engine::{Config, Engine, Secrets};
use anyhow::Result;
use serde_json::{Value, json};

use crate::{PostgresCluster, SqliteFile};

/// An engine on a store of its own, with its clock and what it sent; used where an [`Engine`] is.
#[derive(Debug)]
pub struct TestEngine {
    engine: Engine,
    clock: Arc<FixedClock>,
    /// Holds the store, if it is SQLite, and the outbox.
    folder: SqliteFile,
}

impl TestEngine {
    /// An engine on SQLite.
    pub async fn sqlite() -> Result<Self> {
        let folder = SqliteFile::new()?;
        let url = folder.url();
        Self::open(folder, url, &Value::Null).await
    }

    /// An engine on SQLite, with these settings over the usual ones.
    pub async fn with(settings: Value) -> Result<Self> {
        let folder = SqliteFile::new()?;
        let url = folder.url();
        Self::open(folder, url, &settings).await
    }

    /// An engine on PostgreSQL.
    pub async fn postgres() -> Result<Self> {
        Self::open(
            SqliteFile::new()?,
            PostgresCluster::shared()?.database()?,
            &Value::Null,
        )
        .await
    }

    /// The clock, which stands still.
    pub fn clock(&self) -> &FixedClock {
        &self.clock
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The messages sent so far, oldest first.
    pub fn outbox(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.folder.folder().join(OUTBOX)).unwrap_or_default();
        text.lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    async fn open(folder: SqliteFile, url: String, settings: &Value) -> Result<Self> {
        let mut config = json!({
            "store": url,
            "seal": {"env": "UNUSED"},
            "public_url": "http://localhost:8080",
            "outbox": folder.folder().join(OUTBOX),
            "hashing": {"threads": 1},
        });
        if let (Value::Object(config), Value::Object(settings)) = (&mut config, settings) {
            config.extend(settings.clone());
        }
        let config: Config = serde_json::from_value(config)?;
        let secrets = Secrets {
            store: url.into(),
            seal: vec!["1".repeat(64).into()],
        };
        let clock = Arc::new(FixedClock::default());
        let rng = Arc::new(SeededRng::new(1));
        let engine = Engine::open(&config, &secrets, clock.clone(), rng).await?;
        Ok(Self {
            engine,
            clock,
            folder,
        })
    }
}

impl Deref for TestEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

const OUTBOX: &str = "outbox.jsonl";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn opens_on_both_databases_and_holds_still() -> Result<()> {
        for engine in [TestEngine::sqlite().await?, TestEngine::postgres().await?] {
            let before = engine.now_ms();
            assert_eq!(engine.now_ms(), before);
            engine.advance(Duration::from_secs(1));
            assert_eq!(engine.now_ms(), before + 1000);
            assert!(engine.outbox()?.is_empty());
        }
        Ok(())
    }
}
