//! How pools come, change and go.

use std::sync::Arc;

use ::store::Tx;

use super::{Document, Pool, document, store};
use crate::change::Change;
use crate::revocation::{self, Revocation};
use crate::{Engine, Error, Result, rng, signing_key};

/// Makes a pool of these settings (`CreateUserPool` without `PoolName`), with its signing keys.
pub async fn create(engine: &Engine, name: &str, settings: Document) -> Result<Arc<Pool>> {
    let id = format!(
        "{}_{}",
        engine.config().region,
        rng::text(engine.rng(), rng::ALPHANUMERIC, 9)
    );
    let pool = Arc::new(prepare(id, name, settings, engine.now_ms())?);
    let keys = signing_key::prepare(engine, pool.id(), engine.now_ms()).await?;
    engine
        .db()
        .write_with((Arc::clone(&pool), keys), |tx, (pool, keys)| {
            Box::pin(async move {
                store::insert(tx, pool).await?;
                signing_key::insert(tx, pool.id(), keys).await
            })
        })
        .await?;
    Ok(pool)
}

/// A new pool, checked and complete, that is not stored yet.
pub(crate) fn prepare(id: String, name: &str, settings: Document, now_ms: i64) -> Result<Pool> {
    Pool::build(
        id,
        name.to_owned(),
        document::create(settings)?,
        now_ms,
        now_ms,
    )
}

/// Stores a prepared pool; `false` if one of that id is there.
pub(crate) async fn insert_if_absent(tx: &mut Tx, pool: &Pool) -> Result<bool> {
    store::insert_if_absent(tx, pool).await
}

/// Replaces a pool's settings (`UpdateUserPool` without id and name); what is omitted goes back to its default.
pub async fn update(
    engine: &Engine,
    id: &str,
    name: Option<String>,
    settings: Document,
) -> Result<()> {
    let input = (id.to_owned(), name, settings, engine.now_ms());
    engine
        .db()
        .write_with(input, |tx, (id, name, settings, now_ms)| {
            Box::pin(async move {
                let current = store::read(tx, id)
                    .await?
                    .ok_or_else(|| Error::pool_not_found(id))?;
                let name = name.clone().unwrap_or(current.name);
                let document = document::update(&current.document, settings.clone())?;
                let pool = Pool::build(current.id, name, document, current.created_ms, *now_ms)?;
                store::update(tx, &pool).await?;
                Change::Pool(pool.id).announce(tx).await
            })
        })
        .await?;
    engine.0.pools.forget(id);
    Ok(())
}

/// Deletes a pool and all that belongs to it; its tokens are revoked.
pub async fn delete(engine: &Engine, id: &str) -> Result<()> {
    let revoked = engine
        .db()
        .write_with(id.to_owned(), |tx, id| Box::pin(delete_in(tx, id)))
        .await?;
    engine.note_revoked(&revoked);
    engine.forget_pool(id);
    Ok(())
}

async fn delete_in(tx: &mut Tx, id: &str) -> Result<Revocation> {
    let pool = store::read(tx, id)
        .await?
        .ok_or_else(|| Error::pool_not_found(id))?;
    if pool.is_deletion_protected() {
        return Err(Error::invalid_parameter(
            "The user pool cannot be deleted because deletion protection is activated. \
             Deletion protection must be inactivated first.",
        ));
    }
    store::delete(tx, id).await?;
    Change::Pool(id.to_owned()).announce(tx).await?;
    revocation::revoke_pool(tx, id).await
}
