//! A refresh token for new access and ID tokens, and for its successor where the client rotates.

use store::Tx;
use zeroize::Zeroizing;

use super::{Made, Row, issue, opaque, rows};
use crate::auth::{Parameters, SignIn, Tokens, millis, required};
use crate::client::Flow;
use crate::group::{self, Group};
use crate::revocation::{self, Floor, Revocation};
use crate::user::{self, Status, User};
use crate::{Error, Refusal, Result};

/// `REFRESH_TOKEN_AUTH`: the caller proves the client's secret by `SECRET_HASH` over the user's name.
pub async fn by_parameters(sign_in: SignIn<'_>, parameters: &Parameters) -> Result<Tokens> {
    let token = required(parameters, "REFRESH_TOKEN")?;
    if !parameters.contains_key("SECRET_HASH") {
        // Refused where one is needed, before anything is told of the token.
        sign_in.check_secret_hash("", parameters)?;
    }
    let owned = Owned::load(sign_in, token).await?;
    // The hash is over the user's name, which a client that has only tokens reads from them, or over `sub`.
    let proved = sign_in.check_secret_hash(&owned.user.username, parameters);
    proved.or_else(|_| sign_in.check_secret_hash(&owned.user.sub, parameters))?;
    owned.exchange(sign_in, token).await
}

/// `GetTokensFromRefreshToken`: the caller gives the client's secret itself.
pub async fn by_secret(sign_in: SignIn<'_>, token: &str, secret: Option<&str>) -> Result<Tokens> {
    if !sign_in.client.allows(Flow::Refresh) && sign_in.client.rotation().is_none() {
        return Err(Error::invalid_parameter(
            "Auth flow not enabled for this client",
        ));
    }
    sign_in.client.check_secret(secret)?;
    Owned::load(sign_in, token)
        .await?
        .exchange(sign_in, token)
        .await
}

/// A token with the user it belongs to and the user's groups as they are now.
pub(in crate::auth) struct Owned {
    row: Row,
    user: User,
    groups: Vec<Group>,
    /// By what revocations know tokens of then.
    known_ms: i64,
}

impl Owned {
    /// The owner of a token, if both are good.
    pub(in crate::auth) async fn load(sign_in: SignIn<'_>, token: &str) -> Result<Self> {
        if !opaque::is_shaped(token) {
            return Err(invalid());
        }
        let digest = opaque::digest(token);
        let floor = Floor::now(sign_in.engine);
        let found = sign_in
            .engine
            .db()
            .read_with(digest, |tx, digest| Box::pin(find(tx, digest)))
            .await?;
        let Some(((row, latest_ms), user, groups)) = found else {
            return Err(invalid());
        };
        if row.pool_id != sign_in.pool.id() || row.client_id != sign_in.client.id() {
            return Err(invalid());
        }
        check(&row, sign_in.engine.now_ms())?;
        let user = user.ok_or_else(Error::user_not_found)?;
        check_user(&user)?;
        Ok(Self {
            row,
            user,
            groups,
            known_ms: floor.known_ms(latest_ms),
        })
    }

    /// Hands out what it is worth.
    pub(in crate::auth) async fn exchange(
        self,
        sign_in: SignIn<'_>,
        token: &str,
    ) -> Result<Tokens> {
        let successor = match sign_in.client.rotation() {
            Some(rotation) => Some(self.rotate(sign_in, token, millis(rotation)).await?),
            None if self.row.replaced_ms.is_some() => return Err(revoked()),
            None => None,
        };
        issue(
            sign_in,
            &self.row,
            &self.user,
            &self.groups,
            successor.as_deref().map(String::as_str),
            self.made(sign_in),
        )
        .await
    }

    /// What its tokens say of when they are made.
    fn made(&self, sign_in: SignIn<'_>) -> Made {
        Made {
            now_ms: sign_in.engine.now_ms(),
            known_ms: self.known_ms,
        }
    }

    /// The successor of the token, stored.
    async fn rotate(
        &self,
        sign_in: SignIn<'_>,
        token: &str,
        grace_ms: i64,
    ) -> Result<Zeroizing<String>> {
        let derivation = &sign_in.engine.auth().derivation;
        let bytes = Zeroizing::new(
            derivation
                .bytes(sign_in.engine, "successor of a refresh token", &[token])
                .await?,
        );
        let successor = opaque::of(&bytes);
        let turn = Turn {
            digest: self.row.digest.clone(),
            successor: opaque::digest(&successor),
            now_ms: sign_in.engine.now_ms(),
            grace_ms,
        };
        let turned = sign_in
            .engine
            .db()
            .write_with(turn, |tx, turn| Box::pin(take_turn(tx, turn)))
            .await?;
        match turned {
            Turned::Given => Ok(successor),
            Turned::Reused(revocation) => {
                sign_in.engine.note_revoked(&revocation);
                Err(Error::refused(
                    Refusal::RefreshTokenReuse,
                    "Refresh token has been reused",
                ))
            }
            Turned::Refused(error) => Err(error()),
        }
    }
}

/// One use of a rotating token.
struct Turn {
    digest: String,
    successor: String,
    now_ms: i64,
    grace_ms: i64,
}

enum Turned {
    Given,
    Reused(Revocation),
    Refused(fn() -> Error),
}

async fn take_turn(tx: &mut Tx, turn: &Turn) -> Result<Turned> {
    let Some(row) = rows::find(tx, &turn.digest).await? else {
        return Ok(Turned::Refused(invalid));
    };
    if row.revoked_ms.is_some() {
        return Ok(Turned::Refused(revoked));
    }
    match row.replaced_ms {
        None => {
            rows::replace(tx, &row.digest, turn.now_ms).await?;
            let successor = Row {
                digest: turn.successor.clone(),
                ..row
            };
            rows::insert(tx, &successor).await?;
            Ok(Turned::Given)
        }
        // The successor is derived, so it is the one that the first use got.
        Some(replaced_ms) if turn.now_ms < replaced_ms.saturating_add(turn.grace_ms) => {
            Ok(Turned::Given)
        }
        Some(_) => {
            let revocation =
                revocation::revoke_origin(tx, &row.pool_id, &row.sub, &row.origin).await?;
            Ok(Turned::Reused(revocation))
        }
    }
}

/// A token, and the latest revocation that concerns it.
type Found = (Row, Option<i64>);

async fn find(tx: &mut Tx, digest: &str) -> Result<Option<(Found, Option<User>, Vec<Group>)>> {
    let Some((row, latest_ms)) = rows::find_with_latest(tx, digest).await? else {
        return Ok(None);
    };
    let user = user::by_sub(tx, &row.pool_id, &row.sub).await?;
    let groups = group::of_user(tx, &row.pool_id, &row.sub).await?;
    Ok(Some(((row, latest_ms), user, groups)))
}

fn check(row: &Row, now_ms: i64) -> Result<()> {
    if row.revoked_ms.is_some() {
        Err(revoked())
    } else if row.expires_ms <= now_ms {
        Err(Error::not_authorized("Refresh Token has expired"))
    } else {
        Ok(())
    }
}

fn check_user(user: &User) -> Result<()> {
    match user.status {
        _ if !user.enabled => Err(Error::user_disabled()),
        Status::Confirmed => Ok(()),
        Status::ResetRequired => Err(Error::password_reset_required()),
        Status::Unconfirmed => Err(Error::user_not_confirmed()),
        // The password that the sign-in rests on was taken back.
        Status::ForceChangePassword => Err(revoked()),
    }
}

fn invalid() -> Error {
    Error::not_authorized("Invalid Refresh Token")
}

fn revoked() -> Error {
    Error::not_authorized("Refresh Token has been revoked")
}
