//! `UpdateUserAttributes` and `AdminUpdateUserAttributes`.

use std::sync::Arc;

use store::Tx;

use super::alias::{self, Taken};
use super::attribute::{Given, Writer, check_flags};
use super::{User, store as rows, verified_flag};
use crate::client::Client;
use crate::code::{self, Purpose};
use crate::message::{self, Address, Delivery, Medium};
use crate::pool::Pool;
use crate::{Engine, Error, Result};

/// Changes attributes on the user's own request; answers where codes went. An empty value takes an attribute away.
pub async fn update(
    engine: &Engine,
    pool: &Arc<Pool>,
    client: &Client,
    sub: &str,
    given: Given,
) -> Result<Vec<Delivery>> {
    Writer::Client(client).check(pool, &given)?;
    let update = Update {
        named: Named::Sub(sub.to_owned()),
        given,
        operator: false,
    };
    message::to_the_end(run(engine.clone(), Arc::clone(pool), update)).await
}

/// Changes attributes on an operator's request. An empty value takes an attribute away.
pub async fn admin_update(
    engine: &Engine,
    pool: &Arc<Pool>,
    username: &str,
    given: Given,
) -> Result<Vec<Delivery>> {
    Writer::Operator.check(pool, &given)?;
    let update = Update {
        named: Named::Name(username.to_owned()),
        given,
        operator: true,
    };
    message::to_the_end(run(engine.clone(), Arc::clone(pool), update)).await
}

/// Adds attributes in the transaction that completes a sign-in (`NEW_PASSWORD_REQUIRED`). What the user has cannot
/// be changed there, and no code is sent.
pub async fn complete(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    client: &Client,
    user: &mut User,
    given: &Given,
) -> Result<()> {
    Writer::Client(client).check(pool, given)?;
    for (name, value) in given {
        if user.attribute(name).is_some_and(|current| current != value) {
            return Err(Error::not_authorized(
                "Cannot modify an already provided attribute",
            ));
        }
        pool.schema().check(name, value)?;
    }
    check_flags(given)?;
    for (name, value) in given.iter().filter(|(_, value)| !value.is_empty()) {
        let new = user
            .attributes
            .insert(name.clone(), value.clone())
            .is_none();
        if new && Medium::of(name).is_some() {
            user.attributes
                .insert(verified_flag(name).into(), "false".into());
        }
    }
    rows::set_attributes(tx, pool, user, engine.now_ms()).await?;
    alias::sync(tx, pool, user, Taken::Refuse, engine.now_ms()).await
}

#[derive(Debug, Clone)]
struct Update {
    named: Named,
    given: Given,
    operator: bool,
}

#[derive(Debug, Clone)]
enum Named {
    Sub(String),
    Name(String),
}

/// A code to be sent because an address changed.
#[derive(Clone)]
struct Proof {
    medium: Medium,
    value: String,
    code: String,
}

async fn run(engine: Engine, pool: Arc<Pool>, update: Update) -> Result<Vec<Delivery>> {
    let codes = [Medium::Email, Medium::Sms].map(|medium| (medium, code::draw(&engine)));
    let named = update.named.clone();
    let input = (engine.clone(), Arc::clone(&pool), update, codes);
    let (user, proofs) = engine
        .db()
        .write_with(input, |tx, (engine, pool, update, codes)| {
            Box::pin(async move { apply(tx, engine, pool, update, codes).await })
        })
        .await?;
    let named = match named {
        Named::Name(name) => name,
        Named::Sub(_) => user.username.clone(),
    };
    let mut sent = Vec::with_capacity(proofs.len());
    for proof in proofs {
        let (medium, purpose) = (proof.medium, message::Purpose::UpdateUserAttribute);
        let to = Address {
            user: &user,
            named: &named,
            purpose,
            medium,
            destination: &proof.value,
        };
        sent.push(message::send_code(&engine, &pool, to, &proof.code).await?);
    }
    Ok(sent)
}

async fn apply(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    update: &Update,
    codes: &[(Medium, String)],
) -> Result<(User, Vec<Proof>)> {
    let user = match &update.named {
        Named::Sub(sub) => rows::by_sub(tx, pool.id(), sub).await?,
        Named::Name(name) => rows::find(tx, pool, name).await?,
    };
    let mut user = user.ok_or_else(Error::user_not_found)?;
    let unproved = change(pool, &mut user, update)?;
    rows::set_attributes(tx, pool, &user, engine.now_ms()).await?;
    alias::sync(tx, pool, &user, Taken::Refuse, engine.now_ms()).await?;
    let mut proofs = Vec::with_capacity(unproved.len());
    for medium in [Medium::Email, Medium::Sms] {
        // An address that was waiting for its proof gives way to the one that was written now.
        if update.given.contains_key(medium.attribute()) {
            code::discard(tx, &user, Purpose::verify(medium)).await?;
        }
    }
    for (medium, value) in unproved {
        let Some((_, code)) = codes.iter().find(|(of, _)| *of == medium) else {
            continue;
        };
        code::put(
            tx,
            engine,
            &user,
            Purpose::verify(medium),
            medium,
            &value,
            code,
        )
        .await?;
        proofs.push(Proof {
            medium,
            value,
            code: code.clone(),
        });
    }
    Ok((user, proofs))
}

/// Changes the user's attributes, and returns the addresses that a code must prove.
fn change(pool: &Pool, user: &mut User, update: &Update) -> Result<Vec<(Medium, String)>> {
    let mut unproved = Vec::new();
    for (name, value) in &update.given {
        if value.is_empty() {
            remove(pool, user, name)?;
            continue;
        }
        pool.schema()
            .check_change(name, value, user.attribute(name))?;
        match Medium::of(name) {
            Some(medium) if user.attribute(name) != Some(value) => {
                unproved.extend(change_address(pool, user, medium, value, update));
            }
            _ => {
                user.attributes.insert(name.clone(), value.clone());
            }
        }
    }
    check_flags(&user.attributes)?;
    Ok(unproved)
}

/// Changes an address, or lets the old one stand until the new one is proved, as the pool has it.
fn change_address(
    pool: &Pool,
    user: &mut User,
    medium: Medium,
    value: &str,
    update: &Update,
) -> Option<(Medium, String)> {
    let (name, flag) = (medium.attribute(), verified_flag(medium.attribute()));
    // Only an operator can say that an address is proved: a client's update has no such attribute.
    let proved = update.operator && update.given.get(flag).is_some_and(|flag| flag == "true");
    let waits = !proved && pool.verifies_before_update(name) && user.attribute(name).is_some();
    if !waits {
        user.attributes.insert(name.into(), value.to_owned());
        user.attributes.insert(flag.into(), proved.to_string());
    }
    (!proved && (waits || pool.auto_verifies(name))).then(|| (medium, value.to_owned()))
}

fn remove(pool: &Pool, user: &mut User, name: &str) -> Result<()> {
    pool.schema().check_removal(name)?;
    let username = super::name::Alias::named(name).is_some_and(|kind| kind.is_username(pool));
    if name == "sub" || username {
        return Err(Error::invalid_parameter(format!(
            "user.{name}: Attribute cannot be updated.\n"
        )));
    }
    user.attributes.remove(name);
    if let Some(medium) = Medium::of(name) {
        user.attributes.remove(verified_flag(medium.attribute()));
    }
    Ok(())
}
