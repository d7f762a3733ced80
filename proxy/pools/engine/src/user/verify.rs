//! `GetUserAttributeVerificationCode` and `VerifyUserAttribute`: a signed-in user proves an address.

use std::sync::Arc;

use store::Tx;

use super::alias::{self, Taken};
use super::allowance::{self, Action};
use super::{User, store as rows, verified_flag};
use crate::code::{self, Purpose, Redeemed};
use crate::message::{self, Address, Delivery, Medium};
use crate::pool::Pool;
use crate::{Engine, Error, Result};

/// Sends a code to the user's address.
pub async fn send_attribute_code(
    engine: &Engine,
    pool: &Arc<Pool>,
    sub: &str,
    attribute: &str,
) -> Result<Delivery> {
    let medium = medium(attribute)?;
    message::to_the_end(send(
        engine.clone(),
        Arc::clone(pool),
        sub.to_owned(),
        medium,
    ))
    .await
}

/// Takes the code that proves an address. A new address that waited for it comes into force.
pub async fn verify_attribute(
    engine: &Engine,
    pool: &Arc<Pool>,
    sub: &str,
    attribute: &str,
    given: &str,
) -> Result<()> {
    let medium = medium(attribute)?;
    let input = (
        engine.clone(),
        Arc::clone(pool),
        sub.to_owned(),
        given.to_owned(),
    );
    engine
        .db()
        .write_with(input, move |tx, (engine, pool, sub, given)| {
            Box::pin(async move { verify(tx, engine, pool, sub, medium, given).await })
        })
        .await?
}

async fn send(engine: Engine, pool: Arc<Pool>, sub: String, medium: Medium) -> Result<Delivery> {
    let code = code::draw(&engine);
    let input = (engine.clone(), Arc::clone(&pool), sub, code.clone());
    let (user, value) = engine
        .db()
        .write_with(input, move |tx, (engine, pool, sub, code)| {
            Box::pin(async move { put(tx, engine, pool, sub, medium, code).await })
        })
        .await??;
    let purpose = message::Purpose::VerifyUserAttribute;
    let to = Address {
        user: &user,
        named: &user.username,
        purpose,
        medium,
        destination: &value,
    };
    message::send_code(&engine, &pool, to, &code).await
}

async fn put(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    sub: &str,
    medium: Medium,
    code: &str,
) -> Result<Result<(User, String)>> {
    let user = rows::by_sub(tx, pool.id(), sub)
        .await?
        .ok_or_else(Error::user_not_found)?;
    if let Err(refusal) =
        allowance::take(tx, pool.id(), sub, Action::AttributeCode, engine.now_ms()).await?
    {
        return Ok(Err(refusal));
    }
    let purpose = Purpose::verify(medium);
    // An address that waits for its proof is the one to prove, not the one in force.
    let waiting = code::destination(tx, &user, purpose).await?;
    let Some(value) = waiting.or_else(|| user.attribute(medium.attribute()).map(str::to_owned))
    else {
        return Ok(Err(Error::invalid_parameter(format!(
            "User does not have {}.",
            medium.attribute()
        ))));
    };
    code::put(tx, engine, &user, purpose, medium, &value, code).await?;
    Ok(Ok((user, value)))
}

async fn verify(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    sub: &str,
    medium: Medium,
    given: &str,
) -> Result<Result<()>> {
    let mut user = rows::by_sub(tx, pool.id(), sub)
        .await?
        .ok_or_else(Error::user_not_found)?;
    let now_ms = engine.now_ms();
    if let Err(refusal) =
        allowance::take(tx, pool.id(), sub, Action::VerifyAttribute, now_ms).await?
    {
        return Ok(Err(refusal));
    }
    match code::redeem(tx, engine, &user, Purpose::verify(medium), given).await? {
        Redeemed::Wrong => Ok(Err(Error::code_mismatch())),
        Redeemed::Gone => Ok(Err(Error::expired_code())),
        // Without waiting, the code proves the address it went to, not one that was written since.
        Redeemed::Right { value, .. }
            if !pool.verifies_before_update(medium.attribute())
                && user.attribute(medium.attribute()) != Some(&value) =>
        {
            Ok(Err(Error::expired_code()))
        }
        Redeemed::Right { value, .. } => {
            user.attributes.insert(medium.attribute().into(), value);
            user.attributes
                .insert(verified_flag(medium.attribute()).into(), "true".into());
            rows::set_attributes(tx, pool, &user, now_ms).await?;
            // AWS: who proves an alias last holds it; where it is the username, it stays with its holder.
            let taken = if pool.username_attributes().is_empty() {
                Taken::Move
            } else {
                Taken::Refuse
            };
            alias::sync(tx, pool, &user, taken, now_ms).await.map(Ok)
        }
    }
}

fn medium(attribute: &str) -> Result<Medium> {
    Medium::of(attribute).ok_or_else(|| {
        Error::invalid_parameter(format!(
            "Invalid attribute name {attribute}: only email and phone_number can be verified."
        ))
    })
}
