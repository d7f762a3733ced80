//! A pool in a store of its own, with a clock that stands still.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{self, Client};
use crate::pool::{self, Pool};
use crate::testing::{FixedClock, SeededRng};
use crate::user::{self, Given, SignedUp, User};
use crate::{Config, Engine, Error, Refusal, Result, Secrets};

pub(crate) const PASSWORD: &str = "Passw0rd!";

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) pool: Arc<Pool>,
    pub(crate) client: Arc<Client>,
    pub(crate) clock: Arc<FixedClock>,
    outbox: PathBuf,
    _dir: TempDir,
}

impl World {
    /// A pool that verifies email addresses.
    pub(crate) async fn new() -> Self {
        Self::with(json!({"AutoVerifiedAttributes": ["email"]})).await
    }

    /// A pool of these settings, with a client of AWS's defaults.
    pub(crate) async fn with(pool: Value) -> Self {
        Self::build(pool, json!({}), true).await
    }

    /// A pool and a client of these settings, with or without an outbox.
    pub(crate) async fn build(pool: Value, client: Value, outbox: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("pools.db").display());
        Self::on(dir, url, pool, client, outbox).await
    }

    /// A pool of these settings in PostgreSQL.
    pub(crate) async fn postgres(pool: Value) -> Self {
        let url = testkit::PostgresCluster::shared()
            .unwrap()
            .database()
            .unwrap();
        Self::on(tempfile::tempdir().unwrap(), url, pool, json!({}), true).await
    }

    async fn on(dir: TempDir, url: String, pool: Value, client: Value, outbox: bool) -> Self {
        let path = dir.path().join("outbox.jsonl");
        let mut config =
            json!({"store": url, "seal": {"file": "unused"}, "public_url": "http://localhost"});
        if outbox {
            config["outbox"] = json!(path);
        }
        let config: Config = serde_json::from_value(config).unwrap();
        let secrets = Secrets {
            store: url.into(),
            seal: vec!["1".repeat(64).into()],
        };
        let clock = Arc::new(FixedClock::default());
        let rng = Arc::new(SeededRng::new(1));
        let engine = Engine::open(&config, &secrets, Arc::<FixedClock>::clone(&clock), rng)
            .await
            .unwrap();
        let object = |value: Value| value.as_object().unwrap().clone();
        let pool = pool::create(&engine, "test", object(pool)).await.unwrap();
        let client = client::create(&engine, &pool, "app", object(client))
            .await
            .unwrap();
        Self {
            engine,
            pool,
            client,
            clock,
            outbox: path,
            _dir: dir,
        }
    }

    pub(crate) fn advance_minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }

    /// Everything that was sent.
    pub(crate) fn outbox(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.outbox).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// From now on no message can be written.
    pub(crate) fn break_outbox(&self) {
        if self.outbox.is_file() {
            std::fs::remove_file(&self.outbox).unwrap();
        }
        std::fs::create_dir(&self.outbox).unwrap();
    }

    /// The secret that was sent last.
    pub(crate) fn code(&self) -> String {
        self.outbox().last().unwrap()["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Another code than the one that was sent last.
    pub(crate) fn wrong_code(&self) -> &'static str {
        if self.code() == "000000" {
            "000001"
        } else {
            "000000"
        }
    }

    pub(crate) async fn sign_up(
        &self,
        name: &str,
        attributes: &[(&str, &str)],
    ) -> Result<SignedUp> {
        user::sign_up(
            &self.engine,
            &self.pool,
            &self.client,
            name,
            PASSWORD,
            given(attributes),
        )
        .await
    }

    pub(crate) async fn confirm(&self, name: &str, code: &str) -> Result<()> {
        user::confirm_sign_up(&self.engine, &self.pool, &self.client, name, code, false).await
    }

    /// A confirmed user with this email address.
    pub(crate) async fn user(&self, name: &str, email: &str) -> User {
        self.sign_up(name, &[("email", email)]).await.unwrap();
        let code = self.code();
        self.confirm(name, &code).await.unwrap();
        self.find(name).await.unwrap()
    }

    pub(crate) async fn find(&self, name: &str) -> Option<User> {
        user::load(&self.engine, &self.pool, name).await.unwrap()
    }

    /// Status as stored.
    pub(crate) async fn status(&self, name: &str) -> &'static str {
        self.find(name).await.unwrap().status.as_str()
    }
}

pub(crate) fn given(attributes: &[(&str, &str)]) -> Given {
    attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Kind and message of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T>) -> (Refusal, String) {
    match result.unwrap_err() {
        Error::Refused { kind, message } => (kind, message.into_owned()),
        other => panic!("not a refusal: {other:?}"),
    }
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    refusal(result).0
}
