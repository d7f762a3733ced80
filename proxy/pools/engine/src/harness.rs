//! An engine on a store of its own, for this crate's tests.

use std::sync::Arc;

use serde_json::{Value, json};

use testkit::PostgresCluster;

use crate::pool::Document;
use crate::testing::{FixedClock, SeededRng};
use crate::{Config, Engine, Result, Secrets};

/// Runs tests that take a [`Harness`] on SQLite and on PostgreSQL; `with` names the function
/// that gives their settings.
macro_rules! on_both_stores {
    ($($name:ident $(with $settings:ident)?),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let settings = crate::harness::settings([$(super::$settings())?]);
                super::$name(crate::harness::Harness::with(settings).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                let settings = crate::harness::settings([$(super::$settings())?]);
                super::$name(crate::harness::Harness::postgres(settings).await).await;
            })*
        }
    };
}
pub(crate) use on_both_stores;

/// An engine, its clock, and what [`Harness::second`] opens the same store with.
pub(crate) struct Harness {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<FixedClock>,
    settings: Value,
    url: String,
    _folder: tempfile::TempDir,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// On SQLite, with these settings over the usual ones.
    pub(crate) async fn with(settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("pools.db").display());
        Self::on(url, settings, folder).await
    }

    /// On PostgreSQL, with these settings over the usual ones.
    pub(crate) async fn postgres(settings: Value) -> Self {
        let url = PostgresCluster::shared().unwrap().database().unwrap();
        Self::on(url, settings, tempfile::tempdir().unwrap()).await
    }

    async fn on(url: String, settings: Value, folder: tempfile::TempDir) -> Self {
        let clock = Arc::new(FixedClock::default());
        let engine = open(&url, &settings, &clock, &["1"], 1).await.unwrap();
        Self {
            engine,
            clock,
            settings,
            url,
            _folder: folder,
        }
    }

    /// The file of a SQLite store.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.url.trim_start_matches("sqlite:").into()
    }

    /// Another process on the same store.
    pub(crate) async fn second(&self) -> Engine {
        self.open_with(&["1"]).await.unwrap()
    }

    /// Another process on the same store, with seal keys of these digits.
    pub(crate) async fn open_with(&self, keys: &[&str]) -> Result<Engine> {
        open(&self.url, &self.settings, &self.clock, keys, 2).await
    }

    /// Why another process on the same store does not start.
    pub(crate) async fn second_refused(&self) -> crate::Error {
        self.open_with(&["1"]).await.unwrap_err()
    }

    /// Another process on the same store, with other settings.
    pub(crate) async fn open_as(&self, settings: Value) -> Result<Engine> {
        open(&self.url, &settings, &self.clock, &["1"], 3).await
    }
}

/// The members of a JSON object.
pub(crate) fn document(value: Value) -> Document {
    match value {
        Value::Object(document) => document,
        other => panic!("`{other}` is not an object"),
    }
}

/// The settings of a test, which may say none.
pub(crate) fn settings<const N: usize>(given: [Value; N]) -> Value {
    given.into_iter().next().unwrap_or_else(|| json!({}))
}

async fn open(
    url: &str,
    settings: &Value,
    clock: &Arc<FixedClock>,
    keys: &[&str],
    seed: u64,
) -> Result<Engine> {
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
        store: url.to_owned().into(),
        seal,
    };
    let clock = Arc::clone(clock);
    Engine::open(&config, &secrets, clock, Arc::new(SeededRng::new(seed))).await
}
