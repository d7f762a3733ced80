//! `ConfirmSignUp`, `AdminConfirmSignUp` and `ResendConfirmationCode`.

use std::sync::Arc;

use store::Tx;

use super::alias::{self, Taken};
use super::allowance::{self, Action, Name};
use super::attribute::to_verify;
use super::{Status, User, simulate, store as rows, verified_flag};
use crate::client::Client;
use crate::code::{self, Redeemed};
use crate::message::{self, Address, Delivery, Medium};
use crate::pool::Pool;
use crate::{Engine, Error, Refusal, Result};

/// Confirms a sign-up by the code that was sent. With `force`, an alias that another user holds moves here.
pub async fn confirm_sign_up(
    engine: &Engine,
    pool: &Arc<Pool>,
    client: &Client,
    username: &str,
    given: &str,
    force: bool,
) -> Result<()> {
    let taken = if force { Taken::Move } else { Taken::Refuse };
    let hidden = hidden_name(engine, pool, client, username).await?;
    let hides = hidden.is_some();
    let input = (
        engine.clone(),
        Arc::clone(pool),
        username.to_owned(),
        given.to_owned(),
        hidden,
    );
    // What is refused after a try was counted is a value of the transaction: the count must be committed.
    let end = engine
        .db()
        .write_with(input, move |tx, (engine, pool, username, given, hidden)| {
            Box::pin(async move {
                let action = Action::ConfirmSignUp;
                if let Err(refusal) = take_hidden(tx, engine, pool, hidden.as_ref(), action).await?
                {
                    return Ok(Err(refusal));
                }
                match rows::find(tx, pool, username).await? {
                    Some(user) => confirm_by_code(tx, engine, pool, user, given, taken).await,
                    None => Ok(Err(combination_not_found())),
                }
            })
        })
        .await?;
    match end {
        // Who is absent, confirmed, or without a code that lives looks like one whose code is another.
        Err(error) if hides && is_telling_code(&error) => Err(Error::code_mismatch()),
        end => end,
    }
}

/// Confirms a sign-up without a code. It proves no address.
pub async fn admin_confirm_sign_up(
    engine: &Engine,
    pool: &Arc<Pool>,
    username: &str,
) -> Result<()> {
    let input = (engine.clone(), Arc::clone(pool), username.to_owned());
    engine
        .db()
        .write_with(input, |tx, (engine, pool, username)| {
            Box::pin(async move {
                let user = rows::find(tx, pool, username)
                    .await?
                    .ok_or_else(Error::user_not_found)?;
                check_unconfirmed(&user)?;
                confirm(tx, engine, pool, user, Taken::Refuse).await
            })
        })
        .await
}

/// Sends a new code to a user who has not confirmed the sign-up; the old one is void.
pub async fn resend_code(
    engine: &Engine,
    pool: &Arc<Pool>,
    client: &Client,
    username: &str,
) -> Result<Delivery> {
    let hidden = hidden_name(engine, pool, client, username).await?;
    let hides = hidden.is_some();
    let work = resend(
        engine.clone(),
        Arc::clone(pool),
        username.to_owned(),
        hidden,
    );
    match message::to_the_end(work).await {
        // Absent and confirmed users look alike, and like one whom a code was sent to.
        Err(error) if hides && is_telling(&error) => {
            simulate::delivery(engine, pool, username).await
        }
        end => end,
    }
}

async fn confirm_by_code(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    mut user: User,
    given: &str,
    taken: Taken,
) -> Result<Result<()>> {
    if let Err(refusal) = check_unconfirmed(&user) {
        return Ok(Err(refusal));
    }
    if let Err(refusal) = allowance::take(
        tx,
        &user.pool_id,
        &user.sub,
        Action::ConfirmSignUp,
        engine.now_ms(),
    )
    .await?
    {
        return Ok(Err(refusal));
    }
    match code::redeem(tx, engine, &user, code::Purpose::SignUp, given).await? {
        Redeemed::Wrong => Ok(Err(Error::code_mismatch())),
        Redeemed::Gone => Ok(Err(Error::expired_code())),
        Redeemed::Right { medium, value } => {
            // The code proves the address that it went to, not one that an operator wrote since.
            if user.attribute(medium.attribute()) == Some(&value) {
                user.attributes
                    .insert(verified_flag(medium.attribute()).into(), "true".into());
                rows::set_attributes(tx, pool, &user, engine.now_ms()).await?;
            }
            confirm(tx, engine, pool, user, taken).await.map(Ok)
        }
    }
}

async fn confirm(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    mut user: User,
    taken: Taken,
) -> Result<()> {
    rows::set_status(tx, &user, Status::Confirmed, engine.now_ms()).await?;
    user.status = Status::Confirmed;
    code::discard(tx, &user, code::Purpose::SignUp).await?;
    alias::sync(tx, pool, &user, taken, engine.now_ms()).await
}

async fn resend(
    engine: Engine,
    pool: Arc<Pool>,
    username: String,
    hidden: Option<Name>,
) -> Result<Delivery> {
    let code = code::draw(&engine);
    let input = (
        engine.clone(),
        Arc::clone(&pool),
        username.clone(),
        code.clone(),
        hidden,
    );
    let (user, medium, value) = engine
        .db()
        .write_with(input, |tx, (engine, pool, username, code, hidden)| {
            Box::pin(async move {
                let action = Action::ResendCode;
                match take_hidden(tx, engine, pool, hidden.as_ref(), action).await? {
                    Ok(()) => replace_code(tx, engine, pool, username, code).await,
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
        })
        .await??;
    let purpose = message::Purpose::ResendCode;
    let to = Address {
        user: &user,
        named: &username,
        purpose,
        medium,
        destination: &value,
    };
    message::send_code(&engine, &pool, to, &code).await
}

async fn replace_code(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    username: &str,
    code: &str,
) -> Result<Result<(User, Medium, String)>> {
    let Some(user) = rows::find(tx, pool, username).await? else {
        return Ok(Err(combination_not_found()));
    };
    if user.status != Status::Unconfirmed {
        return Ok(Err(Error::invalid_parameter("User is already confirmed.")));
    }
    let Some((medium, value)) = to_verify(pool, &user.attributes) else {
        return Ok(Err(Error::invalid_parameter(
            "Auto verification not turned on.",
        )));
    };
    if let Err(refusal) = allowance::take(
        tx,
        &user.pool_id,
        &user.sub,
        Action::ResendCode,
        engine.now_ms(),
    )
    .await?
    {
        return Ok(Err(refusal));
    }
    code::put(
        tx,
        engine,
        &user,
        code::Purpose::SignUp,
        medium,
        &value,
        code,
    )
    .await?;
    Ok(Ok((user, medium, value)))
}

fn check_unconfirmed(user: &User) -> Result<()> {
    if user.status == Status::Unconfirmed {
        return Ok(());
    }
    Err(Error::not_authorized(format!(
        "User cannot be confirmed. Current status is {}",
        user.status.as_str()
    )))
}

/// What is counted where the client hides who exists; `None` where it says so openly.
async fn hidden_name(
    engine: &Engine,
    pool: &Pool,
    client: &Client,
    username: &str,
) -> Result<Option<Name>> {
    if client.hides_absent_users() {
        Name::of(engine, pool, username).await.map(Some)
    } else {
        Ok(None)
    }
}

/// Counts a hidden name before anything is looked up, so that the limit comes for all names alike.
async fn take_hidden(
    tx: &mut Tx,
    engine: &Engine,
    pool: &Pool,
    hidden: Option<&Name>,
    action: Action,
) -> Result<Result<()>> {
    match hidden {
        Some(name) => allowance::take_of_name(tx, pool.id(), name, action, engine.now_ms()).await,
        None => Ok(Ok(())),
    }
}

/// Whether a refusal of a code tells a user who is there and unconfirmed from others.
fn is_telling_code(error: &Error) -> bool {
    matches!(
        error.refusal(),
        Some(Refusal::UserNotFound | Refusal::NotAuthorized | Refusal::ExpiredCode)
    )
}

/// Whether a refusal of `resend` tells a user who is there from one who is not. Only who is there is sent anything, so
/// a failure of the delivery tells too.
fn is_telling(error: &Error) -> bool {
    matches!(
        error.refusal(),
        Some(Refusal::UserNotFound | Refusal::InvalidParameter | Refusal::CodeDeliveryFailure)
    )
}

fn combination_not_found() -> Error {
    Error::refused(
        Refusal::UserNotFound,
        "Username/client id combination not found.",
    )
}
