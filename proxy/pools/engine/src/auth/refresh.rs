//! Refresh tokens: what keeps a sign-in alive after its access token.
//!
//! All tokens of one sign-in are a family, named by the `origin_jti` of its access and ID tokens. A client may rotate
//! them: each use gives a successor with the same end of life, and a use after the grace time is taken for theft, which
//! ends the family (RFC 9700 section 4.14.2). The successor is derived from its parent, so retries within the grace
//! time, and any number of uses at once, get the same one: a family never branches.

mod exchange;
mod opaque;
mod revoke;
mod rows;

#[cfg(test)]
pub(super) use exchange::Owned;
pub use exchange::{by_parameters, by_secret};
pub(crate) use revoke::{end_client, end_origin, end_user, forget_user, revoke_others};
pub use revoke::{revoke, sign_out};
pub(crate) use rows::{Row, insert};

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{SignIn, Tokens, millis};
use crate::group::Group;
use crate::issue::{self, IssueInput};
use crate::user::User;
use crate::{Result, rng};

/// The scope of tokens that come from the API, not from OAuth.
const API_SCOPE: &str = "aws.cognito.signin.user.admin";

/// A sign-in that is about to get its first tokens.
pub(crate) struct Family {
    /// What is stored.
    pub(crate) row: Row,
    token: Zeroizing<String>,
}

impl Family {
    /// Draws a refresh token and the ids of a new sign-in.
    pub(crate) fn begin(sign_in: SignIn<'_>, user: &User, now_ms: i64) -> Self {
        let rng = sign_in.engine.rng();
        let token = opaque::draw(rng);
        let row = Row {
            digest: opaque::digest(&token),
            pool_id: user.pool_id.clone(),
            client_id: sign_in.client.id().to_owned(),
            sub: user.sub.clone(),
            origin: rng::uuid(rng),
            event_id: rng::uuid(rng),
            scope: API_SCOPE.to_owned(),
            auth_ms: now_ms,
            expires_ms: now_ms.saturating_add(millis(sign_in.client.lifetimes().refresh)),
            replaced_ms: None,
            revoked_ms: None,
        };
        Self { row, token }
    }

    /// The tokens of the sign-in, once its row is stored; `known_ms` is [`Floor::known_ms`](crate::revocation::Floor).
    pub(crate) async fn issue(
        &self,
        sign_in: SignIn<'_>,
        user: &User,
        groups: &[Group],
        known_ms: i64,
    ) -> Result<Tokens> {
        let fresh = Some(self.token.as_str());
        let made = Made {
            now_ms: self.row.auth_ms,
            known_ms,
        };
        issue(sign_in, &self.row, user, groups, fresh, made).await
    }
}

/// When tokens are made.
#[derive(Clone, Copy)]
struct Made {
    /// By this node's clock.
    now_ms: i64,
    /// By what revocations know of it: from when the store was asked for what they rest on.
    known_ms: i64,
}

/// Access and ID token of a family; `refresh_token` is the new one, if there is one.
async fn issue(
    sign_in: SignIn<'_>,
    row: &Row,
    user: &User,
    groups: &[Group],
    refresh_token: Option<&str>,
    made: Made,
) -> Result<Tokens> {
    let input = IssueInput {
        origin_jti: &row.origin,
        event_id: &row.event_id,
        auth_time_ms: row.auth_ms,
        scope: &row.scope,
        issued_ms: made.now_ms,
        known_ms: made.known_ms,
        nonce: None,
    };
    let SignIn {
        engine,
        pool,
        client,
        ..
    } = sign_in;
    let signed = issue::tokens(engine, &Arc::clone(pool), client, user, groups, input).await?;
    Ok(Tokens {
        access_token: signed.access_token,
        id_token: signed.id_token,
        refresh_token: refresh_token.map(str::to_owned),
        expires_in: signed.expires_in,
    })
}
