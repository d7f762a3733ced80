//! An engine with a pool, a client and a user.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use super::{incorrect, parameters, refusal, tokens};
use crate::auth::{Answer, Door, Parameters, SignIn, Tokens, initiate, refresh, respond};
use crate::client::{self, Client};
use crate::pool::{self, Document, Pool};
use crate::testing::{FixedClock, SeededRng};
use crate::user::{self, Invitation};
use crate::{Config, Engine, Result, Secrets};

pub(super) const PASSWORD: &str = "Correct-Horse-1";

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) pool: Arc<Pool>,
    pub(super) client: Arc<Client>,
    pub(super) clock: Arc<FixedClock>,
    config: Config,
    secrets: Secrets,
    _folder: tempfile::TempDir,
}

impl World {
    /// A pool with AWS's defaults and a client of these settings; `ada` is confirmed.
    pub(super) async fn new(client: Value) -> Self {
        Self::with_pool(json!({}), client).await
    }

    /// A client that allows every password flow, and hides absent users.
    pub(super) async fn open() -> Self {
        Self::new(json!({
            "ExplicitAuthFlows": ALL_FLOWS,
            "PreventUserExistenceErrors": "ENABLED",
        }))
        .await
    }

    pub(super) async fn with_pool(pool: Value, client: Value) -> Self {
        Self::with_pool_and_user(pool, client, "ada").await
    }

    pub(super) async fn with_pool_and_user(pool: Value, client: Value, user: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("pools.db").display());
        Self::on(url, folder, pool, client, user).await
    }

    /// The same on PostgreSQL, where transactions run beside each other and conflict.
    pub(super) async fn on_postgres(client: Value) -> Self {
        let url = testkit::PostgresCluster::shared()
            .unwrap()
            .database()
            .unwrap();
        Self::on(url, tempfile::tempdir().unwrap(), json!({}), client, "ada").await
    }

    async fn on(
        url: String,
        folder: tempfile::TempDir,
        pool: Value,
        client: Value,
        user: &str,
    ) -> Self {
        let config = json!({
            "store": url,
            "seal": {"env": "UNUSED"},
            "public_url": "http://localhost:8080",
            "hashing": {"threads": 2},
        });
        let config: Config = serde_json::from_value(config).unwrap();
        let secrets = Secrets {
            store: url.into(),
            seal: vec!["1".repeat(64).into()],
        };
        let clock = Arc::new(FixedClock::default());
        let engine = Engine::open(
            &config,
            &secrets,
            clock.clone(),
            Arc::new(SeededRng::new(11)),
        )
        .await
        .unwrap();
        let pool = pool::create(&engine, "staff", document(pool))
            .await
            .unwrap();
        let client = client::create(&engine, &pool, "web", document(client))
            .await
            .unwrap();
        let world = Self {
            engine,
            pool,
            client,
            clock,
            config,
            secrets,
            _folder: folder,
        };
        world.user(user).await;
        world
    }

    /// Another node on the same store, whose clock is off.
    pub(super) async fn beside(&self, off_ms: i64) -> Engine {
        let clock = Arc::new(FixedClock::at_ms(self.engine.now_ms() + off_ms));
        let rng = Arc::new(SeededRng::new(off_ms.cast_unsigned()));
        Engine::open(&self.config, &self.secrets, clock, rng)
            .await
            .unwrap()
    }

    /// Makes a confirmed user with the password of all.
    pub(super) async fn user(&self, name: &str) -> String {
        let sub = self.invited(name, "Temporary-1").await;
        user::admin_set_password(&self.engine, &self.pool, name, PASSWORD, true)
            .await
            .unwrap();
        // What the change of password revoked was made up to now; sign-ins come later.
        self.clock.advance(Duration::from_millis(1));
        sub
    }

    /// Makes a user with a temporary password.
    pub(super) async fn invited(&self, name: &str, password: &str) -> String {
        let invitation = Invitation {
            username: name.to_owned(),
            password: Some(password.to_owned().into()),
            suppress: true,
            ..Invitation::default()
        };
        user::admin_create(&self.engine, &self.pool, invitation)
            .await
            .unwrap()
            .sub
    }

    /// Another client of the pool.
    pub(super) async fn client(&self, settings: Value) -> Arc<Client> {
        client::create(&self.engine, &self.pool, "other", document(settings))
            .await
            .unwrap()
    }

    /// Replaces the pool's settings.
    pub(super) async fn update_pool(&mut self, settings: Value) {
        pool::update(&self.engine, self.pool.id(), None, document(settings))
            .await
            .unwrap();
        self.pool = pool::load(&self.engine, self.pool.id()).await.unwrap();
    }

    pub(super) fn sign_in(&self) -> SignIn<'_> {
        self.through(&self.client, Door::Public)
    }

    pub(super) fn through<'a>(&'a self, client: &'a Arc<Client>, door: Door) -> SignIn<'a> {
        SignIn {
            engine: &self.engine,
            pool: &self.pool,
            client,
            door,
        }
    }

    pub(super) async fn initiate(&self, flow: &str, parameters: &Parameters) -> Result<Answer> {
        initiate(self.sign_in(), flow, parameters).await
    }

    pub(super) async fn respond(
        &self,
        challenge: &str,
        session: Option<&str>,
        responses: &Parameters,
    ) -> Result<Answer> {
        respond(self.sign_in(), challenge, session, responses).await
    }

    pub(super) async fn password(&self, name: &str, password: &str) -> Result<Answer> {
        self.initiate(
            "USER_PASSWORD_AUTH",
            &parameters([("USERNAME", name), ("PASSWORD", password)]),
        )
        .await
    }

    pub(super) async fn signed_in(&self) -> Tokens {
        tokens(self.password("ada", PASSWORD).await)
    }

    pub(super) async fn refresh(&self, token: &str) -> Result<Answer> {
        self.initiate(
            "REFRESH_TOKEN_AUTH",
            &parameters([("REFRESH_TOKEN", token)]),
        )
        .await
    }

    pub(super) async fn exchange(&self, token: &str) -> Result<Tokens> {
        refresh::by_secret(self.sign_in(), token, None).await
    }

    /// So many wrong passwords, each told that it is wrong.
    pub(super) async fn fail(&self, name: &str, times: usize) {
        for _ in 0..times {
            assert_eq!(refusal(self.password(name, "Wrong-1").await), incorrect());
        }
    }

    /// Takes every place for work that hashes, until what it gives is dropped.
    pub(super) async fn fill_queue(&self) -> mpsc::Sender<()> {
        let queue = self.engine.config().hashing.queue;
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..queue {
            let (engine, gate) = (self.engine.clone(), gate.clone());
            tokio::spawn(async move {
                let wait = move || gate.lock().unwrap().recv().is_err();
                engine.hasher().off_thread(wait).await
            });
        }
        while self.engine.hasher().queue() < queue {
            tokio::task::yield_now().await;
        }
        release
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

pub(super) fn document(settings: Value) -> Document {
    serde_json::from_value(settings).unwrap()
}

pub(super) const ALL_FLOWS: [&str; 4] = [
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_USER_SRP_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
];
