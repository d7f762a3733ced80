//! How clients come, change and go.

use std::sync::Arc;

use ::store::Tx;

use super::{Client, Identity, Rows, document, store};
use crate::change::Change;
use crate::pool::{self, Document, Pool};
use crate::revocation::{self, Revocation};
use crate::{Engine, Error, Result, rng};

/// Makes a client of these settings (`CreateUserPoolClient` without pool id and name).
pub async fn create(
    engine: &Engine,
    pool: &Pool,
    name: &str,
    settings: Document,
) -> Result<Arc<Client>> {
    let id = rng::text(engine.rng(), rng::LOWER_ALPHANUMERIC, 26);
    let client = Arc::new(prepare(engine, pool, id, name, settings)?);
    let rows = Rows::of(engine, &client)?;
    let stored = engine
        .db()
        .write_with(rows, |tx, rows| {
            Box::pin(async move { rows.insert_if_absent(tx).await })
        })
        .await
        // The pool was deleted since it was looked up.
        .map_err(|error| match error {
            Error::Store(::store::Error::ForeignKey(_)) => Error::pool_not_found(pool.id()),
            other => other,
        })?;
    if stored {
        Ok(client)
    } else {
        Err(Error::Crypto("drawing an unused client id"))
    }
}

/// A new client, checked and complete, that is not stored yet.
pub(crate) fn prepare(
    engine: &Engine,
    pool: &Pool,
    id: String,
    name: &str,
    mut settings: Document,
) -> Result<Client> {
    pool::drop_nulls(&mut settings);
    let secret = document::take_secret(&mut settings, engine.rng())?;
    let document = document::complete(pool, settings, secret.is_some())?;
    let now_ms = engine.now_ms();
    let identity = Identity {
        id,
        pool_id: pool.id().to_owned(),
        name: name.to_owned(),
    };
    Client::build(
        identity,
        document,
        secret.into_iter().collect(),
        now_ms,
        now_ms,
    )
}

/// Replaces a client's settings (`UpdateUserPoolClient` without ids); what is omitted goes back to its default.
pub async fn update(
    engine: &Engine,
    pool: &Arc<Pool>,
    id: &str,
    name: Option<String>,
    mut settings: Document,
) -> Result<Arc<Client>> {
    pool::drop_nulls(&mut settings);
    let update = Update {
        engine: engine.clone(),
        pool: Arc::clone(pool),
        id: id.to_owned(),
        name,
        settings,
    };
    let client = engine
        .db()
        .write_with(update, |tx, update| Box::pin(update.apply(tx)))
        .await?;
    engine.0.clients.forget(id);
    Ok(Arc::new(client))
}

struct Update {
    engine: Engine,
    pool: Arc<Pool>,
    id: String,
    name: Option<String>,
    settings: Document,
}

impl Update {
    /// What the settings leave as it is comes from the row that is written, not from memory.
    async fn apply(&self, tx: &mut Tx) -> Result<Client> {
        let Self { engine, pool, .. } = self;
        let current = store::find_in(tx, engine, &self.id)
            .await?
            .filter(|client| client.pool_id == pool.id())
            .ok_or_else(|| Error::client_not_found(&self.id))?;
        let document = document::complete(pool, self.settings.clone(), current.has_secret())?;
        let identity = Identity {
            id: current.id,
            pool_id: current.pool_id,
            name: self.name.clone().unwrap_or(current.name),
        };
        let now_ms = engine.now_ms();
        let client = Client::build(
            identity,
            document,
            current.secrets,
            current.created_ms,
            now_ms,
        )?;
        store::update(tx, &client).await?;
        Change::Client(self.id.clone()).announce(tx).await?;
        Ok(client)
    }
}

/// Deletes a client; its tokens are revoked.
pub async fn delete(engine: &Engine, pool_id: &str, id: &str) -> Result<()> {
    let input = (pool_id.to_owned(), id.to_owned());
    let revoked = engine
        .db()
        .write_with(input, |tx, (pool_id, id)| {
            Box::pin(delete_in(tx, pool_id, id))
        })
        .await?;
    engine.note_revoked(&revoked);
    engine.0.clients.forget(id);
    Ok(())
}

async fn delete_in(tx: &mut Tx, pool_id: &str, id: &str) -> Result<Revocation> {
    if !store::delete(tx, pool_id, id).await? {
        return Err(Error::client_not_found(id));
    }
    Change::Client(id.to_owned()).announce(tx).await?;
    revocation::revoke_client(tx, pool_id, id).await
}
