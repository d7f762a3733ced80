//! An engine on a store of its own, for this crate's tests.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::pool::Document;
use crate::testing::{FixedClock, SeededRng};
use crate::{Config, Engine, Result, Secrets};

/// An engine, its clock, and the folder that both its store and that of [`Harness::second`] are in.
pub(crate) struct Harness {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<FixedClock>,
    settings: Value,
    folder: tempfile::TempDir,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// With these settings over the usual ones.
    pub(crate) async fn with(settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::default());
        let engine = open(&folder, &settings, &clock, &["1"], 1).await.unwrap();
        Self {
            engine,
            clock,
            settings,
            folder,
        }
    }

    /// Another process on the same store.
    pub(crate) async fn second(&self) -> Engine {
        self.open_with(&["1"]).await.unwrap()
    }

    /// Another process on the same store, with seal keys of these digits.
    pub(crate) async fn open_with(&self, keys: &[&str]) -> Result<Engine> {
        open(&self.folder, &self.settings, &self.clock, keys, 2).await
    }

    /// Why another process on the same store does not start.
    pub(crate) async fn second_refused(&self) -> crate::Error {
        self.open_with(&["1"]).await.unwrap_err()
    }

    /// Another process on the same store, with other settings.
    pub(crate) async fn open_as(&self, settings: Value) -> Result<Engine> {
        open(&self.folder, &settings, &self.clock, &["1"], 3).await
    }
}

/// The members of a JSON object.
pub(crate) fn document(value: Value) -> Document {
    match value {
        Value::Object(document) => document,
        other => panic!("`{other}` is not an object"),
    }
}

async fn open(
    folder: &tempfile::TempDir,
    settings: &Value,
    clock: &Arc<FixedClock>,
    keys: &[&str],
    seed: u64,
) -> Result<Engine> {
    let url = format!("sqlite:{}", folder.path().join("pools.db").display());
    let mut config = json!({
        "store": url,
        "seal": {"env": "UNUSED"},
        "public_url": "http://localhost:8080",
        "hashing": {"threads": 1},
    });
    for (key, value) in settings.as_object().unwrap() {
        config[key] = value.clone();
    }
    let config: Config = serde_json::from_value(config).unwrap();
    let seal = keys.iter().map(|digit| digit.repeat(64).into()).collect();
    let secrets = Secrets {
        store: url.into(),
        seal,
    };
    let clock = Arc::clone(clock);
    Engine::open(&config, &secrets, clock, Arc::new(SeededRng::new(seed))).await
}
