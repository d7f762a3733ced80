//! `AdminCreateUser`: an operator makes an account, or sends its invitation once more.

use std::sync::Arc;

use store::Tx;
use zeroize::Zeroizing;

use super::alias::Taken;
use super::attribute::{Given, Writer, check_flags, name_new};
use super::sign_up::{add, exists};
use super::{Lifetime, Password, Status, User, password, store as rows};
use crate::credential::{self, Owner, Prepared};
use crate::message::{self, Address, Medium, Purpose};
use crate::pool::Pool;
use crate::{Engine, Error, Refusal, Result, rng};

/// A user to be made by an operator.
#[derive(Default)]
pub struct Invitation {
    /// The name, or the address that is the username in the pool.
    pub username: String,
    /// The attributes; required ones may be missing.
    pub attributes: Given,
    /// The temporary password; one is made if there is none.
    pub password: Option<Zeroizing<String>>,
    /// Whether an alias that another user holds moves to this one.
    pub force_alias: bool,
    /// How to send it; by what the user has, the phone first, if none is named.
    pub mediums: Vec<Medium>,
    /// Whether nothing is sent.
    pub suppress: bool,
}

/// Makes a user with a temporary password, and tells the user of it.
pub async fn admin_create(
    engine: &Engine,
    pool: &Arc<Pool>,
    mut invitation: Invitation,
) -> Result<User> {
    let given = &mut invitation.attributes;
    Writer::Operator.check(pool, given)?;
    let sub = rng::uuid(engine.rng());
    let name = name_new(pool, &invitation.username, &sub, given)?;
    given.retain(|_, value| !value.is_empty());
    for (name, value) in given.iter() {
        pool.schema().check(name, value)?;
    }
    check_flags(given)?;
    let secret = temporary(engine, pool, invitation.password.take())?;
    if rows::load(engine, pool, &invitation.username)
        .await?
        .is_some()
    {
        return Err(exists(pool, &invitation.username));
    }
    let owner = Owner {
        pool_id: pool.id(),
        sub: &sub,
        username: &name,
    };
    let prepared = credential::prepare(engine, owner, &secret).await?;
    let user = invited(engine, pool, sub, name, std::mem::take(given), prepared);
    message::to_the_end(enter(
        engine.clone(),
        Arc::clone(pool),
        user,
        invitation,
        secret,
    ))
    .await
}

/// Gives a user who never signed in a new temporary password and more time, and sends it.
pub async fn admin_resend(
    engine: &Engine,
    pool: &Arc<Pool>,
    mut invitation: Invitation,
) -> Result<User> {
    let user = rows::load(engine, pool, &invitation.username)
        .await?
        .ok_or_else(Error::user_not_found)?;
    check_resend(&user)?;
    let secret = temporary(engine, pool, invitation.password.take())?;
    let prepared = credential::prepare(engine, user.owner(), &secret).await?;
    message::to_the_end(renew(
        engine.clone(),
        Arc::clone(pool),
        user,
        invitation,
        prepared,
        secret,
    ))
    .await
}

fn temporary(
    engine: &Engine,
    pool: &Pool,
    given: Option<Zeroizing<String>>,
) -> Result<Zeroizing<String>> {
    let Some(given) = given else {
        return Ok(password::generate(engine, pool));
    };
    pool.password_policy().check(&given)?;
    Ok(given)
}

fn invited(
    engine: &Engine,
    pool: &Pool,
    sub: String,
    username: String,
    attributes: Given,
    prepared: Prepared,
) -> User {
    let now_ms = engine.now_ms();
    User {
        pool_id: pool.id().to_owned(),
        sub,
        username,
        status: Status::ForceChangePassword,
        enabled: true,
        attributes,
        created_ms: now_ms,
        modified_ms: now_ms,
        password: Some(Password::new(
            prepared,
            now_ms,
            Some(password::expiry(pool, now_ms)),
        )),
    }
}

async fn enter(
    engine: Engine,
    pool: Arc<Pool>,
    user: User,
    invitation: Invitation,
    secret: Zeroizing<String>,
) -> Result<User> {
    let taken = if invitation.force_alias {
        Taken::Move
    } else {
        Taken::Refuse
    };
    let input = (Arc::clone(&pool), user.clone(), invitation.username.clone());
    engine
        .db()
        .write_with(input, move |tx, (pool, user, named)| {
            Box::pin(async move { add(tx, pool, user, named, taken).await })
        })
        .await?;
    send(&engine, &pool, &user, &invitation, &secret).await?;
    Ok(user)
}

async fn renew(
    engine: Engine,
    pool: Arc<Pool>,
    user: User,
    invitation: Invitation,
    prepared: Prepared,
    secret: Zeroizing<String>,
) -> Result<User> {
    let input = (engine.clone(), Arc::clone(&pool), user.sub, prepared);
    let user = engine
        .db()
        .write_with(input, |tx, (engine, pool, sub, prepared)| {
            Box::pin(async move { replace(tx, engine, pool, sub, prepared).await })
        })
        .await?;
    send(&engine, &pool, &user, &invitation, &secret).await?;
    Ok(user)
}

async fn replace(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    sub: &str,
    prepared: &Prepared,
) -> Result<User> {
    let user = rows::by_sub(tx, pool.id(), sub)
        .await?
        .ok_or_else(Error::user_not_found)?;
    check_resend(&user)?;
    let lifetime = Lifetime::Temporary(password::expiry(pool, engine.now_ms()));
    rows::set_password(tx, engine, pool, &user, prepared, lifetime).await?;
    Ok(User {
        modified_ms: engine.now_ms(),
        ..user
    })
}

/// Tells the user by each medium asked for that reaches the user; none is a user whom the operator tells.
async fn send(
    engine: &Engine,
    pool: &Pool,
    user: &User,
    invitation: &Invitation,
    secret: &str,
) -> Result<()> {
    if invitation.suppress {
        return Ok(());
    }
    for medium in mediums(user, &invitation.mediums) {
        let Some(destination) = user.attribute(medium.attribute()) else {
            continue;
        };
        let (named, purpose) = (invitation.username.as_str(), Purpose::AdminCreateUser);
        let to = Address {
            user,
            named,
            purpose,
            medium,
            destination,
        };
        message::send_invitation(engine, pool, to, secret).await?;
    }
    Ok(())
}

fn mediums(user: &User, desired: &[Medium]) -> Vec<Medium> {
    if !desired.is_empty() {
        return desired.to_vec();
    }
    [Medium::Sms, Medium::Email]
        .into_iter()
        .find(|medium| user.attribute(medium.attribute()).is_some())
        .into_iter()
        .collect()
}

fn check_resend(user: &User) -> Result<()> {
    if user.status == Status::ForceChangePassword {
        return Ok(());
    }
    Err(Error::refused(
        Refusal::UnsupportedUserState,
        format!(
            "Resend not possible. {} status is not FORCE_CHANGE_PASSWORD",
            user.username
        ),
    ))
}
