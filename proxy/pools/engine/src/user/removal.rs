//! Users who may no longer sign in, and users who are gone. What they were signed in to ends at once.

use std::sync::Arc;

use store::Tx;

use super::{User, store as rows};
use crate::auth::refresh;
use crate::pool::Pool;
use crate::revocation::{self, Revocation};
use crate::{Engine, Error, Result};

/// Lets a user sign in again.
pub async fn admin_enable(engine: &Engine, pool: &Arc<Pool>, username: &str) -> Result<()> {
    run(engine, pool, Named::Name(username.to_owned()), End::Enable).await
}

/// Keeps a user from signing in, and ends what is signed in.
pub async fn admin_disable(engine: &Engine, pool: &Arc<Pool>, username: &str) -> Result<()> {
    run(engine, pool, Named::Name(username.to_owned()), End::Disable).await
}

/// Deletes a user on an operator's request.
pub async fn admin_delete(engine: &Engine, pool: &Arc<Pool>, username: &str) -> Result<()> {
    run(engine, pool, Named::Name(username.to_owned()), End::Delete).await
}

/// Deletes a user on the user's own request.
pub async fn delete(engine: &Engine, pool: &Arc<Pool>, sub: &str) -> Result<()> {
    run(engine, pool, Named::Sub(sub.to_owned()), End::Delete).await
}

#[derive(Debug, Clone)]
enum Named {
    Name(String),
    Sub(String),
}

#[derive(Debug, Clone, Copy)]
enum End {
    Enable,
    Disable,
    Delete,
}

async fn run(engine: &Engine, pool: &Arc<Pool>, named: Named, end: End) -> Result<()> {
    let input = (Arc::clone(pool), named, engine.clone());
    let revoked = engine
        .db()
        .write_with(input, move |tx, (pool, named, engine)| {
            Box::pin(async move {
                let user = match named {
                    Named::Name(name) => rows::find(tx, pool, name).await?,
                    Named::Sub(sub) => rows::by_sub(tx, pool.id(), sub).await?,
                };
                // Taken within the transaction: a sign-in that came before it took its own time earlier.
                let now_ms = engine.now_ms();
                apply(tx, &user.ok_or_else(Error::user_not_found)?, end, now_ms).await
            })
        })
        .await?;
    if let Some(revoked) = &revoked {
        engine.note_revoked(revoked);
    }
    Ok(())
}

async fn apply(tx: &mut Tx, user: &User, end: End, now_ms: i64) -> Result<Option<Revocation>> {
    match end {
        End::Enable => {
            rows::set_enabled(tx, user, true, now_ms).await?;
            return Ok(None);
        }
        End::Disable => rows::set_enabled(tx, user, false, now_ms).await?,
        End::Delete => {
            rows::delete(tx, user).await?;
            refresh::forget_user(tx, &user.pool_id, &user.sub).await?;
        }
    }
    revocation::revoke_user(tx, &user.pool_id, &user.sub)
        .await
        .map(Some)
}
