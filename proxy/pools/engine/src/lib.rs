//! The engine: the rules of user pools, one slice a noun, with its SQL beside it. Implements the gate's `Keys` and
//! `Revocations`.
//!
//! It stands between an API operation, which decodes and authenticates, and the store.

pub mod auth;
mod cache;
mod change;
pub mod client;
pub mod clock;
pub mod code;
mod config;
pub mod credential;
mod declare;
mod error;
pub mod group;
#[cfg(test)]
mod harness;
pub mod hasher;
pub mod issue;
pub mod message;
mod migrations;
mod page;
pub mod pool;
mod reseal;
pub mod revocation;
pub mod rng;
pub mod seal;
pub mod signing_key;
pub mod srp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod user;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use store::Db;

pub use clock::{Clock, SystemClock};
pub use config::{
    Config, DeclaredClient, DeclaredPool, ExistenceErrors, HashProfile, Hashing, IssuerForm,
    Operator, Secret, SigningKeys, StoreUrl,
};
pub use declare::{DeclaredPlace, DeclaredStep, Misdeclared};
pub use error::{Error, Refusal, Result};
pub use hasher::Hasher;
pub use rng::{OsRng, Rng};
pub use seal::Sealer;

/// The user pools of one store: cheap to clone, shared by every call.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// What the settings name as secret, read.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// `sqlite:FILE` or `postgres://…`.
    pub store: SecretString,
    /// The seal keys, the active one first.
    pub seal: Vec<SecretString>,
}

struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    sealer: Sealer,
    hasher: Hasher,
    config: Config,
    pools: pool::Cache,
    clients: client::Cache,
    rings: signing_key::Rings,
    revoked: Arc<revocation::Revoked>,
    outbox: message::Outbox,
    auth: auth::State,
    /// The database's time of the last poll of changes.
    polled_ms: AtomicI64,
    /// Why the store's file is not to be used, as the last poll found.
    trouble: Mutex<Option<String>>,
    /// Where the store's connections live.
    runtime: tokio::runtime::Handle,
    tasks: change::Tasks,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Engine").field(&self.0.db).finish()
    }
}

impl Engine {
    /// Opens the store, checks that the seal keys fit it, makes what the settings declare and starts following changes.
    ///
    /// Must be called on the runtime that is to serve the engine.
    pub async fn open(
        config: &Config,
        secrets: &Secrets,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self> {
        let sealer = Sealer::new(&secrets.seal)?;
        let hasher = Hasher::start(&config.hashing, Arc::clone(&rng))?;
        let outbox = message::Outbox::open(config.outbox.as_deref())?;
        let db = Db::open(secrets.store.expose_secret(), migrations::ALL).await?;
        let engine = Self(Arc::new(Inner {
            db,
            clock,
            rng,
            sealer,
            hasher,
            config: config.clone(),
            pools: pool::Cache::new(),
            clients: client::Cache::new(),
            rings: signing_key::Rings::new(),
            revoked: Arc::new(revocation::Revoked::new()),
            outbox,
            auth: auth::State::default(),
            polled_ms: AtomicI64::new(0),
            trouble: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            tasks: change::Tasks::default(),
        }));
        engine.check_seal().await?;
        let feed = change::Feed::begin(&engine).await?;
        declare::declare(&engine).await?;
        engine.0.tasks.follow(&engine, feed);
        engine.0.tasks.maintain(&engine);
        Ok(engine)
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The store.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        clock::epoch_ms(self.0.clock.now())
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// The generator.
    pub fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    /// Hashes passwords.
    pub fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    /// A time of the database's that is past, by half a second unless it is out of reach; epoch milliseconds.
    pub(crate) fn polled_ms(&self) -> i64 {
        self.0.polled_ms.load(Ordering::Relaxed)
    }

    /// Seals secrets at rest.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// What sign-in keeps in memory.
    pub(crate) fn auth(&self) -> &auth::State {
        &self.0.auth
    }

    /// How sign-ins ended since the process began, for `portcullis_sign_ins_total{pool,client,result}`.
    pub fn sign_ins(&self) -> Vec<auth::SignIns> {
        self.auth().sign_ins.all()
    }

    /// Where messages go.
    pub(crate) fn outbox(&self) -> &message::Outbox {
        &self.0.outbox
    }

    /// The exact `iss` of a pool's tokens.
    pub fn issuer(&self, pool_id: &str) -> String {
        self.config().issuer_of(pool_id)
    }

    /// Where callers reach the pools, without a slash at the end.
    pub fn public_url(&self) -> &str {
        self.config().public_url()
    }

    /// A pool's ARN.
    pub fn pool_arn(&self, pool_id: &str) -> String {
        let Config {
            region, account, ..
        } = self.config();
        format!("arn:aws:cognito-idp:{region}:{account}:userpool/{pool_id}")
    }

    /// The keys of a pool's tokens, for the gate; loaded in the background.
    pub fn pool_keys(&self, pool_id: &str) -> Arc<dyn token::Keys> {
        let keys = self.0.rings.keys(self, pool_id);
        let (engine, pool_id) = (self.clone(), pool_id.to_owned());
        self.0.runtime.spawn(async move {
            // A pool that is not there yet is looked for again when its first token comes.
            if let Err(error) = engine.rings().load(&engine, &pool_id).await {
                tracing::debug!(%error, pool = %pool_id, "The pool's keys are not there yet");
            }
        });
        Arc::new(keys)
    }

    /// What has been revoked, for the gate.
    pub fn revocations(&self) -> Arc<dyn token::Revocations> {
        Arc::clone(&self.0.revoked) as Arc<dyn token::Revocations>
    }

    /// Whether revocations made elsewhere may be unknown here; the gate then answers 503 for embedded tokens.
    pub fn is_stale(&self) -> bool {
        self.revoked().is_stale(revocation::STALE)
    }

    /// Why nothing can be written, where the store's file was moved, deleted or replaced.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps it for those who ask whether all is well; the log hears of it once.
    pub(crate) fn set_trouble(&self, found: Option<&store::Error>) {
        let found = found.map(ToString::to_string);
        let mut trouble = self
            .0
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let (Some(why), None) = (&found, &*trouble) {
            tracing::error!(why, "The pools' store is not where it was opened");
        }
        *trouble = found;
    }

    /// Puts a committed revocation in force in this process without waiting for the next poll.
    pub fn note_revoked(&self, revocation: &revocation::Revocation) {
        self.revoked().note(revocation);
    }

    pub(crate) fn revoked(&self) -> &revocation::Revoked {
        &self.0.revoked
    }

    pub(crate) fn rings(&self) -> &signing_key::Rings {
        &self.0.rings
    }

    /// Forgets a pool and its clients.
    pub(crate) fn forget_pool(&self, id: &str) {
        self.0.pools.forget(id);
        self.0.clients.forget_where(|client| client.pool_id() == id);
    }

    /// Takes in a change that another process made, or this one earlier.
    pub(crate) async fn learn(&self, change: change::Change) -> Result<()> {
        use change::Change;
        match change {
            Change::Pool(id) => {
                self.forget_pool(&id);
                self.rings().reload(self, &id).await
            }
            Change::Client(id) => {
                self.0.clients.forget(&id);
                Ok(())
            }
            Change::Keys(pool_id) => self.rings().reload(self, &pool_id).await,
            Change::Revoked(revocation) => {
                self.revoked().note(&revocation);
                Ok(())
            }
        }
    }

    /// What is done about once a minute.
    pub(crate) async fn maintain(&self) -> Result<()> {
        change::prune(self).await?;
        revocation::prune(self).await?;
        auth::sweep(self).await?;
        signing_key::maintain(self).await?;
        reseal::run(self).await
    }

    async fn check_seal(&self) -> Result<()> {
        let engine = Arc::clone(&self.0);
        self.db()
            .write_with(engine, |tx, engine| {
                Box::pin(async move { engine.sealer.check(tx, &*engine.rng).await })
            })
            .await
    }
}
