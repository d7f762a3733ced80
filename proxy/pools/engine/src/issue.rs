//! ID and access tokens of a sign-in, and the proof of one that operations with an access token ask for.

mod access;
mod claims;

pub use access::{AccessToken, verify_access};

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::client::Client;
use crate::group::Group;
use crate::hasher::is_hashing_thread;
use crate::pool::Pool;
use crate::signing_key::{Kind, SigningKey};
use crate::user::User;
use crate::{Engine, Error, Result};

/// The scope of sign-ins through the API; it lets the user's own operations be called.
pub const USER_ADMIN_SCOPE: &str = "aws.cognito.signin.user.admin";

/// What a sign-in brings to its tokens.
#[derive(Debug, Clone, Copy)]
pub struct IssueInput<'a> {
    /// What ties the tokens to their refresh token.
    pub origin_jti: &'a str,
    /// The sign-in's id in logs, kept across refreshes.
    pub event_id: &'a str,
    /// The original sign-in, epoch milliseconds, kept across refreshes.
    pub auth_time_ms: i64,
    /// Scopes of the access token, separated by spaces.
    pub scope: &'a str,
    /// When they are made, by this node's clock, epoch milliseconds.
    pub issued_ms: i64,
    /// After every revocation that was seen when the store was asked whether the user may have them, and before all
    /// others, epoch milliseconds; see [`revocation`](crate::revocation).
    pub known_ms: i64,
    /// What the client gave to an OAuth sign-in.
    pub nonce: Option<&'a str>,
}

/// Two signed tokens.
pub struct Tokens {
    /// For the application: who the user is.
    pub id_token: String,
    /// For APIs: what the user may do.
    pub access_token: String,
    /// Seconds the access token lives.
    pub expires_in: i64,
}

/// Shows nothing that could be used.
impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tokens")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Signs the tokens of a user in these groups, the one of lowest precedence first.
pub async fn tokens(
    engine: &Engine,
    pool: &Pool,
    client: &Client,
    user: &User,
    groups: &[Group],
    input: IssueInput<'_>,
) -> Result<Tokens> {
    let ring = engine.rings().load(engine, pool.id()).await?;
    let now_ms = input.issued_ms;
    let grant = claims::Grant {
        engine,
        client,
        user,
        groups,
        input,
        now_ms,
    };
    let id = (ring.current(Kind::Id, now_ms)?, grant.id());
    let access = (ring.current(Kind::Access, now_ms)?, grant.access());
    let (id_token, access_token) = signed(id, access).await?;
    Ok(Tokens {
        id_token,
        access_token,
        expires_in: claims::seconds(client.lifetimes().access),
    })
}

/// Claims, and the key to sign them with.
type Unsigned = (Arc<SigningKey>, Map<String, Value>);

/// Signs both on a thread that serves no calls: an RSA signature keeps one from them for too long. On one thread, as
/// waking a second costs as much as it saves.
async fn signed(id: Unsigned, access: Unsigned) -> Result<(String, String)> {
    let sign = |(key, claims): Unsigned| key.sign(&claims);
    let both = move || Ok((sign(id)?, sign(access)?));
    if is_hashing_thread() {
        return both();
    }
    tokio::task::spawn_blocking(both)
        .await
        .map_err(|_| Error::Crypto("signing a token"))
        .flatten()
}

#[cfg(test)]
mod tests;
