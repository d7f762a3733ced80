//! The end of sign-ins before their time.

use store::Tx;

use super::{opaque, rows};
use crate::auth::lockout;
use crate::client::{self, Client};
use crate::pool::Pool;
use crate::revocation::{self, Revocation};
use crate::{Engine, Error, Refusal, Result};

/// `RevokeToken`: ends the sign-in a refresh token belongs to, with its access and ID tokens.
///
/// A token that is unknown, or another client's, has no effect and is no error (RFC 7009 section 2.2): the caller
/// learns nothing.
pub async fn revoke(engine: &Engine, pool: &Pool, client: &Client, token: &str) -> Result<()> {
    if !client.has_revocation() {
        return Err(Error::refused(
            Refusal::UnsupportedOperation,
            "Token revocation is not enabled for this client",
        ));
    }
    if opaque::is_jws(token) {
        return Err(Error::refused(
            Refusal::UnsupportedTokenType,
            "Only refresh tokens can be revoked",
        ));
    }
    let input = (
        opaque::digest(token),
        pool.id().to_owned(),
        client.id().to_owned(),
    );
    let done = engine
        .db()
        .write_with(input, |tx, (digest, pool_id, client_id)| {
            Box::pin(async move {
                match rows::find(tx, digest).await? {
                    Some(row) if row.pool_id == *pool_id && row.client_id == *client_id => {
                        revocation::revoke_origin(tx, pool_id, &row.sub, &row.origin)
                            .await
                            .map(Some)
                    }
                    _ => Ok(None),
                }
            })
        });
    if let Some(revocation) = done.await? {
        engine.note_revoked(&revocation);
    }
    Ok(())
}

/// `GlobalSignOut` and `AdminUserGlobalSignOut`: ends all sign-ins of a user.
pub async fn sign_out(engine: &Engine, pool_id: &str, sub: &str) -> Result<()> {
    let input = (pool_id.to_owned(), sub.to_owned());
    let done = engine.db().write_with(input, |tx, (pool_id, sub)| {
        Box::pin(revocation::revoke_user(tx, pool_id, sub))
    });
    engine.note_revoked(&done.await?);
    Ok(())
}

/// Ends all sign-ins of a user but one; all where there is none to keep.
///
/// Tokens that do not name their sign-in end only with all the user has got; the kept one then goes on by its refresh
/// token.
pub(crate) async fn revoke_others(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    kept: Option<&str>,
    now_ms: i64,
) -> Result<Vec<Revocation>> {
    let Some(kept) = kept else {
        return Ok(vec![revocation::revoke_user(tx, pool_id, sub).await?]);
    };
    let oldest_ms = now_ms.saturating_sub(revocation::LONGEST_TOKEN_MS);
    let mut revoked = Vec::new();
    let mut nameless = false;
    for (origin, client_id) in rows::origins(tx, pool_id, sub).await? {
        if origin != kept {
            revoked.push(revocation::revoke_origin(tx, pool_id, sub, &origin).await?);
            nameless = nameless || !client::named_sign_ins_since(tx, &client_id, oldest_ms).await?;
        }
    }
    if nameless {
        revoked.push(revocation::revoke_issued(tx, pool_id, sub).await?);
    }
    Ok(revoked)
}

/// Takes away what is kept of a user who is being deleted.
pub(crate) async fn forget_user(tx: &mut Tx, pool_id: &str, sub: &str) -> Result<()> {
    lockout::forget(tx, pool_id, sub).await?;
    rows::delete_user(tx, pool_id, sub).await
}

/// Ends the refresh tokens of one sign-in; with [`revocation::revoke_origin`], which calls it.
pub(crate) async fn end_origin(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    origin: &str,
    now_ms: i64,
) -> Result<()> {
    rows::revoke_origin(tx, pool_id, sub, origin, now_ms).await
}

/// Ends the refresh tokens of a user; with [`revocation::revoke_user`], which calls it.
pub(crate) async fn end_user(tx: &mut Tx, pool_id: &str, sub: &str, now_ms: i64) -> Result<()> {
    rows::revoke_user(tx, pool_id, sub, now_ms).await
}

/// Ends the refresh tokens of a client; with [`revocation::revoke_client`], which calls it.
pub(crate) async fn end_client(tx: &mut Tx, client_id: &str, now_ms: i64) -> Result<()> {
    rows::revoke_client(tx, client_id, now_ms).await
}
