//! `NEW_PASSWORD_REQUIRED`: whoever signed in with a temporary password chooses one, and gives the attributes that the
//! pool requires and the user lacks.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use store::Tx;

use super::challenge::{self, Problem, Waiting};
use super::refresh::{self, Family};
use super::{Answer, Challenge, ChallengeKind, Parameters, SignIn, conclude, required};
use crate::client::Client;
use crate::credential::{self, Prepared};
use crate::group::{self, Group};
use crate::pool::Pool;
use crate::revocation::{self, Floor};
use crate::user::{self, Given, Lifetime, Password, Status, User};
use crate::{Engine, Error, Result};

/// Asks for a new password.
pub(super) fn challenge(sign_in: SignIn<'_>, user: &User) -> Result<Challenge> {
    let waiting = Waiting::new(
        sign_in,
        user.sub.clone(),
        user.username.clone(),
        &user.username,
        stamp(user),
    );
    let required: Vec<_> = missing(sign_in, user)
        .map(|name| [PREFIX, name].concat())
        .collect();
    let readable = user
        .attributes
        .iter()
        .filter(|(name, _)| sign_in.client.may_read(name));
    let readable = readable.map(|(name, value)| (name.clone(), value.as_str().into()));
    let parameters = [
        ("USER_ID_FOR_SRP", user.username.clone()),
        (
            "requiredAttributes",
            serde_json::Value::from(required).to_string(),
        ),
        (
            "userAttributes",
            serde_json::Value::Object(readable.collect()).to_string(),
        ),
    ];
    Ok(Challenge {
        kind: ChallengeKind::NewPasswordRequired,
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        session: Some(waiting.seal(sign_in, ChallengeKind::NewPasswordRequired)?),
    })
}

/// Takes the new password, and signs in.
///
/// A password or attribute that is refused leaves the session good: the user tries another.
pub(super) async fn set(
    sign_in: SignIn<'_>,
    session: &str,
    responses: &Parameters,
) -> Result<Answer> {
    let given = required(responses, "USERNAME")?;
    let password = required(responses, "NEW_PASSWORD")?;
    sign_in.check_secret_hash(given, responses)?;
    let waiting = Waiting::open(sign_in, ChallengeKind::NewPasswordRequired, session)?;
    waiting.refuse_answered(sign_in).await?;
    let SignIn {
        engine,
        pool,
        client,
        ..
    } = sign_in;
    let user = user::load_by_sub(engine, pool.id(), &waiting.sub)
        .await?
        .ok_or(Problem::Invalid)?;
    check_named(sign_in, &user, given).await?;
    check_user(&user, &waiting.detail)?;
    conclude::next(sign_in, &user, engine.now_ms())?;

    pool.password_policy().check(password)?;
    let attributes = attributes(sign_in, &user, responses)?;
    user::check_history(engine, pool, &user, password).await?;
    let prepared = credential::prepare(engine, user.owner(), password).await?;
    let family = Family::begin(sign_in, &user, engine.now_ms());
    let plan = Plan {
        engine: engine.clone(),
        pool: Arc::clone(pool),
        client: Arc::clone(client),
        waiting,
        prepared,
        attributes,
        row: family.row.clone(),
    };
    let floor = Floor::now(engine);
    let done = engine
        .db()
        .write_with(plan, |tx, plan| Box::pin(complete(tx, plan)))
        .await?;
    let (user, groups, latest_ms) = done.ok_or(Problem::Used)?;
    family
        .issue(sign_in, &user, &groups, floor.known_ms(latest_ms))
        .await
        .map(Answer::Tokens)
}

struct Plan {
    engine: Engine,
    pool: Arc<Pool>,
    client: Arc<Client>,
    waiting: Waiting,
    prepared: Prepared,
    attributes: Given,
    row: refresh::Row,
}

/// The user, their groups and the latest revocation that there is; `None` if the session was used before.
async fn complete(tx: &mut Tx, plan: &Plan) -> Result<Option<(User, Vec<Group>, Option<i64>)>> {
    let Plan {
        engine,
        pool,
        client,
        waiting,
        ..
    } = plan;
    if !challenge::take(tx, &waiting.id, waiting.expires_ms).await? {
        return Ok(None);
    }
    let mut user = user::by_sub(tx, pool.id(), &waiting.sub)
        .await?
        .ok_or(Problem::Invalid)?;
    check_user(&user, &waiting.detail)?;
    if !plan.attributes.is_empty() {
        user::complete(tx, engine, pool, client, &mut user, &plan.attributes).await?;
    }
    user::set_password(tx, engine, pool, &user, &plan.prepared, Lifetime::Permanent).await?;
    refresh::insert(tx, &plan.row).await?;
    let groups = group::of_user(tx, pool.id(), &user.sub).await?;
    let latest_ms = revocation::latest(tx, pool.id(), &user.sub, client.id()).await?;
    Ok(Some((user, groups, latest_ms)))
}

/// The attributes in the answer: none may change what the user has, and none that is required may be left out.
fn attributes(sign_in: SignIn<'_>, user: &User, responses: &Parameters) -> Result<Given> {
    let mut given = Given::new();
    for (key, value) in responses {
        let Some(name) = key.strip_prefix(PREFIX) else {
            continue;
        };
        match user.attribute(name) {
            Some(current) if current == value => {}
            Some(_) => {
                return Err(Error::not_authorized(format!(
                    "Cannot modify an already provided {name}"
                )));
            }
            None => drop(given.insert(name.to_owned(), value.clone())),
        }
    }
    let missing: Vec<_> = missing(sign_in, user)
        .filter(|name| given.get(*name).is_none_or(String::is_empty))
        .collect();
    if missing.is_empty() {
        return Ok(given);
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    Err(Error::invalid_parameter(format!(
        "Invalid attributes given, {} {verb} missing",
        missing.join(" and ")
    )))
}

fn missing<'a>(sign_in: SignIn<'a>, user: &'a User) -> impl Iterator<Item = &'a str> {
    sign_in
        .pool
        .schema()
        .required()
        .filter(|name| user.attribute(name).is_none_or(str::is_empty))
}

/// Refuses an answer that names another user than the session does; an alias names the user, too.
async fn check_named(sign_in: SignIn<'_>, user: &User, given: &str) -> Result<()> {
    if given == user.username || given == user.sub {
        return Ok(());
    }
    let named = user::load(sign_in.engine, sign_in.pool, given).await?;
    if named.is_some_and(|named| named.sub == user.sub) {
        Ok(())
    } else {
        Err(Problem::Invalid.into())
    }
}

/// The session lasts as long as the temporary password that it rests on.
fn check_user(user: &User, stamped: &str) -> Result<()> {
    if !user.enabled {
        return Err(Error::user_disabled());
    }
    let same = user.status == Status::ForceChangePassword && stamp(user) == stamped;
    if same {
        Ok(())
    } else {
        Err(Problem::Invalid.into())
    }
}

/// Names the password without telling anything of it.
fn stamp(user: &User) -> String {
    let mark = user.password.as_ref().map_or("", Password::mark);
    hex::encode(digest(&SHA256, mark.as_bytes()))
}

const PREFIX: &str = "userAttributes.";
