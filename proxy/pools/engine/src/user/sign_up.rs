//! `SignUp`: a user makes an account.

use std::sync::Arc;

use store::Tx;

use super::alias::{self, Taken};
use super::attribute::{Given, Writer, check_flags, name_new, to_verify};
use super::{Password, Status, User, store as rows, verified_flag};
use crate::client::Client;
use crate::code::{self, Purpose};
use crate::credential::{self, Owner};
use crate::message::{self, Address, Delivery, Medium};
use crate::pool::Pool;
use crate::user::name::{Alias, canonical, is_sub};
use crate::{Engine, Error, Refusal, Result, rng};

/// Who signed up, and where the code went.
#[derive(Debug, Clone)]
pub struct SignedUp {
    /// The new user's id.
    pub sub: String,
    /// Where the code went, if the pool verifies an address.
    pub delivery: Option<Delivery>,
}

/// Makes an unconfirmed user, and sends the code that confirms it.
pub async fn sign_up(
    engine: &Engine,
    pool: &Arc<Pool>,
    client: &Client,
    username: &str,
    password: &str,
    mut given: Given,
) -> Result<SignedUp> {
    if pool.is_admin_create_only() {
        return Err(Error::not_authorized(
            "SignUp is not permitted for this user pool",
        ));
    }
    Writer::Client(client).check(pool, &given)?;
    let sub = rng::uuid(engine.rng());
    let name = name_new(pool, username, &sub, &mut given)?;
    pool.schema().check_new(
        given
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )?;
    given.retain(|_, value| !value.is_empty());
    check_flags(&given)?;
    pool.password_policy().check(password)?;
    // Before the hash, which is dear; the transaction looks again.
    if rows::load(engine, pool, username).await?.is_some() {
        return Err(exists(pool, username));
    }
    let user = new_user(engine, pool, sub, name, given, password).await?;
    message::to_the_end(enter(
        engine.clone(),
        Arc::clone(pool),
        user,
        username.to_owned(),
    ))
    .await
}

/// Adds a user to the pool with its aliases; a name that is taken in whatever form is refused.
pub(super) async fn add(
    tx: &mut Tx,
    pool: &Pool,
    user: &User,
    named: &str,
    taken: Taken,
) -> Result<()> {
    let key = canonical(&user.username, pool.case());
    // A name that is another user's `sub` would stand in for that user wherever a caller names users by `sub`.
    let borrowed = user.username != user.sub && is_sub(&key);
    if borrowed && rows::by_sub(tx, pool.id(), &key).await?.is_some() {
        return Err(exists(pool, named));
    }
    if alias::is_preferred_username(tx, pool, &key).await? || !rows::insert(tx, pool, user).await? {
        return Err(exists(pool, named));
    }
    match alias::sync(tx, pool, user, taken, user.created_ms).await {
        Err(error)
            if error.refusal() == Some(Refusal::AliasExists)
                && !pool.username_attributes().is_empty() =>
        {
            Err(exists(pool, named))
        }
        end => end,
    }
}

async fn new_user(
    engine: &Engine,
    pool: &Pool,
    sub: String,
    username: String,
    mut attributes: Given,
    password: &str,
) -> Result<User> {
    for address in [Medium::Email, Medium::Sms].map(Medium::attribute) {
        if attributes.contains_key(address) {
            attributes.insert(verified_flag(address).into(), "false".into());
        }
    }
    let owner = Owner {
        pool_id: pool.id(),
        sub: &sub,
        username: &username,
    };
    let prepared = credential::prepare(engine, owner, password).await?;
    let now_ms = engine.now_ms();
    Ok(User {
        pool_id: pool.id().to_owned(),
        sub,
        username,
        status: Status::Unconfirmed,
        enabled: true,
        attributes,
        created_ms: now_ms,
        modified_ms: now_ms,
        password: Some(Password::new(prepared, now_ms, None)),
    })
}

async fn enter(engine: Engine, pool: Arc<Pool>, user: User, named: String) -> Result<SignedUp> {
    let code = code::draw(&engine);
    let address = to_verify(&pool, &user.attributes);
    let input = (
        engine.clone(),
        Arc::clone(&pool),
        user.clone(),
        named.clone(),
        address.clone(),
        code.clone(),
    );
    engine
        .db()
        .write_with(input, |tx, (engine, pool, user, named, address, code)| {
            Box::pin(async move {
                add(tx, pool, user, named, Taken::Refuse).await?;
                match address {
                    Some((medium, value)) => {
                        code::put(tx, engine, user, Purpose::SignUp, *medium, value, code).await
                    }
                    None => Ok(()),
                }
            })
        })
        .await?;
    let Some((medium, value)) = address else {
        return Ok(SignedUp {
            sub: user.sub,
            delivery: None,
        });
    };
    let purpose = message::Purpose::SignUp;
    let to = Address {
        user: &user,
        named: &named,
        purpose,
        medium,
        destination: &value,
    };
    let delivery = message::send_code(&engine, &pool, to, &code).await?;
    Ok(SignedUp {
        sub: user.sub,
        delivery: Some(delivery),
    })
}

/// The refusal of a name that is taken.
pub(super) fn exists(pool: &Pool, named: &str) -> Error {
    match Alias::ALL
        .into_iter()
        .find(|kind| kind.is_username(pool) && kind.fits(named))
    {
        Some(kind) => Error::refused(
            Refusal::UsernameExists,
            format!(
                "An account with the given {} already exists.",
                kind.as_str()
            ),
        ),
        None => Error::username_exists(),
    }
}
