//! Hashes of another profile than the settings name are made anew at the next sign-in with the password itself, the one
//! time it is known. Nobody waits for it, and nothing fails with it: the old hash goes on verifying.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::SignIn;
use super::attempt::Subject;
use crate::credential::{self, Owner};
use crate::{Engine, Result, user};

/// The renewals under way; they end with their owner.
#[derive(Debug, Default)]
pub(crate) struct Renewals(Mutex<JoinSet<()>>);

impl Renewals {
    fn begin(&self, engine: &Engine, renewal: Renewal) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let work = run(engine.clone(), renewal);
        tasks.spawn_on(work, &engine.0.runtime);
    }

    /// Waits for those that have begun.
    #[cfg(test)]
    pub(crate) async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.join_all().await;
    }
}

/// A password that was given and is right, with the hash that it was compared with.
pub(super) struct Renewal {
    pool_id: String,
    sub: String,
    username: String,
    hash: String,
    password: Zeroizing<String>,
}

impl Renewal {
    /// What is to be done about a password that was right and whose hash is outdated.
    pub(super) fn of(sign_in: SignIn<'_>, subject: &Subject, password: &str) -> Option<Self> {
        let owner = subject.owner(sign_in);
        Some(Self {
            pool_id: owner.pool_id.to_owned(),
            sub: owner.sub.to_owned(),
            username: owner.username.to_owned(),
            hash: subject.password()?.hash.clone(),
            password: Zeroizing::new(password.to_owned()),
        })
    }

    /// Does it beside the answer.
    pub(super) fn begin(self, sign_in: SignIn<'_>) {
        sign_in.engine.auth().renewals.begin(sign_in.engine, self);
    }

    async fn store(&self, engine: &Engine) -> Result<()> {
        let owner = Owner {
            pool_id: &self.pool_id,
            sub: &self.sub,
            username: &self.username,
        };
        let fresh = credential::hash(engine, owner, &self.password).await?;
        let input = (
            self.pool_id.clone(),
            self.sub.clone(),
            self.hash.clone(),
            fresh,
        );
        let done = engine
            .db()
            .write_with(input, |tx, (pool_id, sub, seen, fresh)| {
                Box::pin(user::renew_hash(tx, pool_id, sub, seen, fresh))
            });
        done.await
    }
}

async fn run(engine: Engine, renewal: Renewal) {
    if let Err(error) = renewal.store(&engine).await {
        tracing::debug!(%error, "An outdated password hash stays until the next sign-in");
    }
}
