//! App clients: through which flows users sign in, how long their tokens live, what they may read and write.

mod change;
mod document;
mod flow;
mod oauth;
mod secret;
mod store;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use change::prepare;
pub use change::{create, delete, update};
pub use flow::{Flow, Flows};
pub use secret::Secret;
pub(crate) use store::{Rows, named_sign_ins_since};

use crate::page::{self, Page};
use crate::pool::{self, Document, Pool};
use crate::{Engine, Error, Result, cache};

/// Clients by id.
pub(crate) type Cache = cache::Cache<Client>;

/// A client as it was when it was loaded; never changed in place.
#[derive(Debug)]
pub struct Client {
    id: String,
    pool_id: String,
    name: String,
    document: Document,
    created_ms: i64,
    modified_ms: i64,
    flows: Flows,
    secrets: Vec<Secret>,
    lifetimes: Lifetimes,
    session: Duration,
    read: Option<Vec<String>>,
    write: Option<Vec<String>>,
    hides_absent_users: bool,
    revocation: bool,
    rotation: Option<Duration>,
}

/// How long tokens live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// 5 minutes to 1 day.
    pub access: Duration,
    /// 5 minutes to 1 day.
    pub id: Duration,
    /// 1 hour to 3650 days.
    pub refresh: Duration,
}

/// What `ListUserPoolClients` says of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The client's id.
    pub id: String,
    /// Its pool.
    pub pool_id: String,
    /// Its name.
    pub name: String,
}

impl Client {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pool it belongs to.
    pub fn pool_id(&self) -> &str {
        &self.pool_id
    }

    /// Its friendly name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings in AWS's shape (without ids, name, secret and dates).
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Epoch milliseconds.
    pub fn created_ms(&self) -> i64 {
        self.created_ms
    }

    /// Epoch milliseconds of the last change.
    pub fn modified_ms(&self) -> i64 {
        self.modified_ms
    }

    /// Whether users may sign in this way.
    pub fn allows(&self, flow: Flow) -> bool {
        self.flows.contains(flow)
    }

    /// How long its tokens live.
    pub fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// How long a challenge may be answered.
    pub fn session_validity(&self) -> Duration {
        self.session
    }

    /// The live secrets, the oldest first; none for a public client.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Whether callers must prove that they know a secret.
    pub fn has_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Refuses a call whose `SECRET_HASH` over the user name it sent is missing or wrong.
    pub fn check_secret_hash(&self, username: &str, given: Option<&str>) -> Result<()> {
        secret::check_hash(self, username, given)
    }

    /// Refuses a call whose plain client secret is missing or wrong.
    pub fn check_secret(&self, given: Option<&str>) -> Result<()> {
        secret::check_plain(self, given)
    }

    /// Whether tokens and `GetUser` show this attribute to the client.
    pub fn may_read(&self, attribute: &str) -> bool {
        attribute == "sub"
            || self
                .read
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| name == attribute))
    }

    /// Whether users may write this attribute through the client.
    pub fn may_write(&self, attribute: &str) -> bool {
        match &self.write {
            Some(names) => names.iter().any(|name| name == attribute),
            None => !document::is_read_only(attribute),
        }
    }

    /// Whether answers do not tell an absent user from a wrong password (`PreventUserExistenceErrors`).
    pub fn hides_absent_users(&self) -> bool {
        self.hides_absent_users
    }

    /// Whether `RevokeToken` works for it (`EnableTokenRevocation`).
    pub fn has_revocation(&self) -> bool {
        self.revocation
    }

    /// How long a rotated refresh token still works; `None` where they are not rotated.
    pub fn rotation(&self) -> Option<Duration> {
        self.rotation
    }

    /// Whether tokens carry `origin_jti`.
    pub fn has_origin(&self) -> bool {
        self.revocation || self.rotation.is_some()
    }
}

/// The client and its pool, from memory where possible.
pub async fn load(engine: &Engine, id: &str) -> Result<(Arc<Pool>, Arc<Client>)> {
    let client = find(engine, id)
        .await?
        .ok_or_else(|| Error::client_not_found(id))?;
    Ok((pool::load(engine, &client.pool_id).await?, client))
}

/// The client of that pool.
pub async fn load_of(engine: &Engine, pool_id: &str, id: &str) -> Result<Arc<Client>> {
    find(engine, id)
        .await?
        .filter(|client| client.pool_id == pool_id)
        .ok_or_else(|| Error::client_not_found(id))
}

/// The client, or `None`.
pub async fn find(engine: &Engine, id: &str) -> Result<Option<Arc<Client>>> {
    let epoch = match engine.0.clients.find(id) {
        Ok(client) => return Ok(Some(client)),
        Err(epoch) => epoch,
    };
    let Some(client) = store::find(engine, id).await? else {
        return Ok(None);
    };
    let client = Arc::new(client);
    engine.0.clients.keep(epoch, id, &client);
    Ok(Some(client))
}

/// Clients of a pool by id, from where `token` says; at most `limit`.
pub async fn list(
    engine: &Engine,
    pool: &Pool,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<Summary>> {
    let list = format!("clients/{}", pool.id());
    let [after] = page::after(engine, &list, token)?.unwrap_or_default();
    let found = store::list(engine.db(), pool.id(), &after, limit).await?;
    Page::of(engine, &list, found, limit, |client| [client.id.clone()])
}

/// What names a client.
struct Identity {
    id: String,
    pool_id: String,
    name: String,
}

impl Client {
    fn build(
        identity: Identity,
        document: Document,
        secrets: Vec<Secret>,
        created_ms: i64,
        modified_ms: i64,
    ) -> Result<Self> {
        let view = document::View::read(&document)?;
        Ok(Self {
            id: identity.id,
            pool_id: identity.pool_id,
            name: identity.name,
            document,
            created_ms,
            modified_ms,
            flows: view.flows()?,
            secrets,
            lifetimes: view.lifetimes(),
            session: view.session(),
            hides_absent_users: view.hides_absent_users(),
            revocation: view.revocation(),
            rotation: view.rotation(),
            read: view.read_attributes,
            write: view.write_attributes,
        })
    }
}

#[cfg(test)]
mod tests;
