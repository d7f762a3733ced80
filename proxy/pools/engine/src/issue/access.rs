//! Access tokens as proof of who calls.

use std::sync::Arc;
use std::time::Duration;

use token::{
    Audience, Claims, Kind, Naming, Refusal, Revocations as _, Rules, Standing, TokenUse,
    Unverified,
};

use super::USER_ADMIN_SCOPE;
use crate::client::{self, Client};
use crate::pool::{self, Pool};
use crate::user::{self, User};
use crate::{Engine, Error, Result, clock};

/// A user who called with a live access token.
#[derive(Debug)]
pub struct AccessToken {
    /// The user's pool.
    pub pool: Arc<Pool>,
    /// The client the token was given to.
    pub client: Arc<Client>,
    /// The user, as stored now.
    pub user: User,
    /// What ties the token to its refresh token, where revocation or rotation is on.
    pub origin_jti: Option<String>,
}

/// Refuses what is not a live access token of one of our pools for the user's own operations.
pub async fn verify_access(engine: &Engine, token: &str) -> Result<AccessToken> {
    let token = Unverified::read(token).map_err(|_| Error::invalid_access_token())?;
    let pool = pool::find(engine, claimed_pool(&token))
        .await?
        .ok_or_else(Error::invalid_access_token)?;
    let claims = verify(engine, &pool, token).await?;
    match engine.revoked().standing(&claims) {
        Standing::Live => {}
        Standing::Revoked => return Err(revoked()),
        Standing::Unknown => return Err(Error::Stale),
    }
    if !claims.scopes().any(|scope| scope == USER_ADMIN_SCOPE) {
        return Err(Error::not_authorized(
            "Access Token does not have required scopes",
        ));
    }
    let client = client::find(engine, claims.client_id().unwrap_or_default()).await?;
    let client = client
        .filter(|client| client.pool_id() == pool.id())
        .ok_or_else(revoked)?;
    Ok(AccessToken {
        user: find_user(engine, &pool, claims.sub()).await?,
        origin_jti: claims.origin_jti().map(str::to_owned),
        client,
        pool,
    })
}

async fn verify(engine: &Engine, pool: &Pool, token: Unverified<'_>) -> Result<Claims> {
    let ring = engine.rings().load(engine, pool.id()).await?;
    let rules = Arc::new(Rules {
        name: pool.id().into(),
        iss: engine.issuer(pool.id()),
        kind: Kind::Cognito,
        audience: Audience::Embedded,
        naming: Naming::cognito(pool.id()),
    });
    let now = engine.clock().now();
    match token.verify(&ring.public(), &rules, LEEWAY, now) {
        Ok(claims) if clock::epoch_ms(now) / 1000 >= to_seconds(claims.exp()) => Err(expired()),
        Ok(claims) if claims.token_use() == Some(TokenUse::Access) => Ok(claims),
        Err(Refusal::Expired) => Err(expired()),
        _ => Err(Error::invalid_access_token()),
    }
}

fn to_seconds(exp: u64) -> i64 {
    i64::try_from(exp).unwrap_or(i64::MAX)
}

fn expired() -> Error {
    Error::not_authorized("Access Token has expired")
}

async fn find_user(engine: &Engine, pool: &Pool, sub: &str) -> Result<User> {
    let input = (pool.id().to_owned(), sub.to_owned());
    let user = engine
        .db()
        .read_with(input, |tx, (pool_id, sub)| {
            Box::pin(async move { user::by_sub(tx, pool_id, sub).await })
        })
        .await?
        .ok_or_else(Error::user_not_found)?;
    if user.enabled {
        Ok(user)
    } else {
        Err(Error::user_disabled())
    }
}

/// The pool a token says it is of: only tells whose keys to verify it with.
fn claimed_pool<'t>(token: &'t Unverified<'_>) -> &'t str {
    let iss = token.iss().unwrap_or_default();
    iss.rsplit('/').next().unwrap_or_default()
}

fn revoked() -> Error {
    Error::not_authorized("Access Token has been revoked")
}

/// How far the clock of the node that made a token may be ahead of this one's. It makes no token good for longer.
const LEEWAY: Duration = Duration::from_secs(5);
