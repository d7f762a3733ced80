//! Groups: names that users share, which tokens carry and policies speak of.

mod store;

use std::sync::Arc;

use ::store::Tx;

use crate::page::{self, Page};
use crate::pool::Pool;
use crate::user;
use crate::{Engine, Error, Refusal, Result};

pub use store::of_user;
pub(crate) use store::{insert_if_absent, of_user_joined, read_joined};

/// A group of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The pool.
    pub pool_id: String,
    /// Its name, which is told apart by case.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The role its users may take.
    pub role_arn: Option<String>,
    /// The lowest number comes first; none comes last.
    pub precedence: Option<i64>,
    /// Epoch milliseconds.
    pub created_ms: i64,
    /// Epoch milliseconds of the last change.
    pub modified_ms: i64,
}

/// What a caller says of a group; what is left away stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// For people.
    pub description: Option<String>,
    /// The role its users may take.
    pub role_arn: Option<String>,
    /// The lowest number comes first.
    pub precedence: Option<i64>,
}

impl Settings {
    /// Refuses what the databases do not store alike: PostgreSQL has no text with NUL.
    fn check(&self) -> Result<()> {
        if [&self.description, &self.role_arn]
            .into_iter()
            .flatten()
            .any(|text| text.contains('\0'))
        {
            return Err(Error::invalid_parameter(
                "Group settings must not contain NUL.",
            ));
        }
        Ok(())
    }
}

/// Makes a group.
pub async fn create(
    engine: &Engine,
    pool: &Arc<Pool>,
    name: &str,
    settings: Settings,
) -> Result<Group> {
    settings.check()?;
    let now_ms = engine.now_ms();
    let group = Group {
        pool_id: pool.id().to_owned(),
        name: name.to_owned(),
        description: settings.description,
        role_arn: settings.role_arn,
        precedence: settings.precedence,
        created_ms: now_ms,
        modified_ms: now_ms,
    };
    engine
        .db()
        .write_with(group.clone(), |tx, group| {
            Box::pin(async move {
                if store::count(tx, &group.pool_id).await? >= MAX_GROUPS {
                    return Err(limit("The pool has reached its limit of 10000 groups."));
                }
                let made = store::insert_if_absent(tx, group).await?;
                if made { Ok(()) } else { Err(exists()) }
            })
        })
        .await?;
    Ok(group)
}

/// The group of that name.
pub async fn load(engine: &Engine, pool: &Pool, name: &str) -> Result<Group> {
    store::load(engine.db(), pool.id(), name)
        .await?
        .ok_or_else(Error::group_not_found)
}

/// Changes what `settings` names.
pub async fn update(engine: &Engine, pool: &Pool, name: &str, settings: Settings) -> Result<Group> {
    settings.check()?;
    let input = (
        pool.id().to_owned(),
        name.to_owned(),
        settings,
        engine.now_ms(),
    );
    engine
        .db()
        .write_with(input, |tx, (pool_id, name, settings, now_ms)| {
            Box::pin(async move {
                store::update(tx, pool_id, name, settings, *now_ms)
                    .await?
                    .ok_or_else(Error::group_not_found)
            })
        })
        .await
}

/// Deletes a group; its users stay.
pub async fn delete(engine: &Engine, pool: &Pool, name: &str) -> Result<()> {
    engine
        .db()
        .write_with(
            (pool.id().to_owned(), name.to_owned()),
            |tx, (pool_id, name)| {
                Box::pin(async move {
                    if store::delete(tx, pool_id, name).await? {
                        Ok(())
                    } else {
                        Err(Error::group_not_found())
                    }
                })
            },
        )
        .await
}

/// Groups of a pool by name, from where `token` says; at most `limit`.
pub async fn list(
    engine: &Engine,
    pool: &Pool,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<Group>> {
    let list = format!("groups/{}", pool.id());
    let [after] = page::after(engine, &list, token)?.unwrap_or_default();
    let found = store::list(engine.db(), pool.id(), &after, limit).await?;
    Page::of(engine, &list, found, limit, |group| [group.name.clone()])
}

/// Groups of a user by name, from where `token` says; at most `limit`.
pub async fn list_of_user(
    engine: &Engine,
    pool: &Pool,
    username: &str,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<Group>> {
    let user = user::load(engine, pool, username)
        .await?
        .ok_or_else(Error::user_not_found)?;
    let list = format!("groups/{}/{}", pool.id(), user.sub);
    let [after] = page::after(engine, &list, token)?.unwrap_or_default();
    let found = store::list_of_user(engine.db(), &user, &after, limit).await?;
    Page::of(engine, &list, found, limit, |group| [group.name.clone()])
}

/// Puts a user into a group; a user who is in it stays there.
pub async fn add_user(engine: &Engine, pool: &Arc<Pool>, name: &str, username: &str) -> Result<()> {
    let input = (Arc::clone(pool), name.to_owned(), username.to_owned());
    engine
        .db()
        .write_with(input, |tx, (pool, name, username)| {
            Box::pin(async move { add(tx, pool, name, username).await })
        })
        .await
}

/// Takes a user out of a group; a user who is not in it stays out.
pub async fn remove_user(
    engine: &Engine,
    pool: &Arc<Pool>,
    name: &str,
    username: &str,
) -> Result<()> {
    let input = (Arc::clone(pool), name.to_owned(), username.to_owned());
    engine
        .db()
        .write_with(input, |tx, (pool, name, username)| {
            Box::pin(async move {
                let user = user::find(tx, pool, username)
                    .await?
                    .ok_or_else(Error::user_not_found)?;
                store::find(tx, pool.id(), name)
                    .await?
                    .ok_or_else(Error::group_not_found)?;
                store::leave(tx, &user, name).await
            })
        })
        .await
}

async fn add(tx: &mut Tx, pool: &Pool, name: &str, username: &str) -> Result<()> {
    let user = user::find(tx, pool, username)
        .await?
        .ok_or_else(Error::user_not_found)?;
    store::find(tx, pool.id(), name)
        .await?
        .ok_or_else(Error::group_not_found)?;
    if store::join(tx, &user, name).await?
        && store::count_of_user(tx, &user).await? > MAX_GROUPS_OF_USER
    {
        return Err(limit("The user has reached the limit of 100 groups."));
    }
    Ok(())
}

fn exists() -> Error {
    Error::refused(
        Refusal::GroupExists,
        "A group with the name already exists.",
    )
}

fn limit(message: &'static str) -> Error {
    Error::refused(Refusal::LimitExceeded, message)
}

/// AWS's limits (<https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>).
const MAX_GROUPS: i64 = 10_000;
const MAX_GROUPS_OF_USER: i64 = 100;

#[cfg(test)]
mod tests;
