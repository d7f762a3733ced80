//! Rows of groups and of who is in them.

use store::{Db, Row, Tx, args};

use super::{Group, Settings};
use crate::Result;
use crate::page::one_more;
use crate::user::User;

/// The groups of a user, the one of lowest precedence first. One statement.
pub async fn of_user(tx: &mut Tx, pool_id: &str, sub: &str) -> Result<Vec<Group>> {
    tx.rows(format!("{OF_USER}{ORDER}"), args![pool_id, sub])
        .await?
        .iter()
        .map(read)
        .collect()
}

pub(super) async fn list_of_user(
    db: &Db,
    user: &User,
    after: &str,
    limit: usize,
) -> Result<Vec<Group>> {
    let args = args![user.pool_id, user.sub, after, one_more(limit)];
    db.rows(LIST_OF_USER, args)
        .await?
        .iter()
        .map(read)
        .collect()
}

pub(super) async fn list(db: &Db, pool_id: &str, after: &str, limit: usize) -> Result<Vec<Group>> {
    db.rows(LIST, args![pool_id, after, one_more(limit)])
        .await?
        .iter()
        .map(read)
        .collect()
}

pub(super) async fn load(db: &Db, pool_id: &str, name: &str) -> Result<Option<Group>> {
    db.row(FIND, args![pool_id, name])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

pub(super) async fn find(tx: &mut Tx, pool_id: &str, name: &str) -> Result<Option<Group>> {
    tx.row(FIND, args![pool_id, name])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

pub(super) async fn count(tx: &mut Tx, pool_id: &str) -> Result<i64> {
    Ok(tx
        .row(COUNT, args![pool_id])
        .await?
        .map_or(Ok(0), |row| row.int("size"))?)
}

pub(super) async fn count_of_user(tx: &mut Tx, user: &User) -> Result<i64> {
    Ok(tx
        .row(COUNT_OF_USER, args![user.pool_id, user.sub])
        .await?
        .map_or(Ok(0), |row| row.int("size"))?)
}

/// Adds a group; `false` if the name is taken.
pub(crate) async fn insert_if_absent(tx: &mut Tx, group: &Group) -> Result<bool> {
    let args = args![
        group.pool_id,
        group.name,
        group.description,
        group.role_arn,
        group.precedence,
        group.created_ms,
        group.modified_ms
    ];
    Ok(tx.execute(INSERT, args).await? == 1)
}

pub(super) async fn update(
    tx: &mut Tx,
    pool_id: &str,
    name: &str,
    settings: &Settings,
    now_ms: i64,
) -> Result<Option<Group>> {
    let Some(mut group) = find(tx, pool_id, name).await? else {
        return Ok(None);
    };
    group.description = settings.description.clone().or(group.description);
    group.role_arn = settings.role_arn.clone().or(group.role_arn);
    group.precedence = settings.precedence.or(group.precedence);
    group.modified_ms = now_ms;
    tx.execute(
        UPDATE,
        args![
            pool_id,
            name,
            group.description,
            group.role_arn,
            group.precedence,
            now_ms
        ],
    )
    .await?;
    Ok(Some(group))
}

pub(super) async fn delete(tx: &mut Tx, pool_id: &str, name: &str) -> Result<bool> {
    Ok(tx.execute(DELETE, args![pool_id, name]).await? == 1)
}

/// Puts a user into a group; `false` if it was there.
pub(super) async fn join(tx: &mut Tx, user: &User, name: &str) -> Result<bool> {
    Ok(tx
        .execute(JOIN, args![user.pool_id, name, user.sub])
        .await?
        == 1)
}

pub(super) async fn leave(tx: &mut Tx, user: &User, name: &str) -> Result<()> {
    tx.execute(LEAVE, args![user.pool_id, name, user.sub])
        .await?;
    Ok(())
}

/// The group that a row of [`of_user_joined`] has beside its other columns, if any.
pub(crate) fn read_joined(row: &Row, pool_id: &str) -> Result<Option<Group>> {
    let Some(name) = row.opt_text("group_name")? else {
        return Ok(None);
    };
    Ok(Some(Group {
        pool_id: pool_id.to_owned(),
        name,
        description: row.opt_text("group_description")?,
        role_arn: row.opt_text("group_role_arn")?,
        precedence: row.opt_int("group_precedence")?,
        created_ms: row.int("group_created_ms")?,
        modified_ms: row.int("group_modified_ms")?,
    }))
}

/// The groups of a user as a part of another statement, which then has a row for each of them, in the order of [`of_user`],
/// or one where there is none.
pub(crate) struct Joined {
    /// Columns, each after a comma.
    pub(crate) columns: &'static str,
    /// The joins.
    pub(crate) joins: String,
    /// The end of the statement.
    pub(crate) order: &'static str,
}

/// The parts, over columns or parameters with the pool and the user.
pub(crate) fn of_user_joined(pool: &str, sub: &str) -> Joined {
    Joined {
        columns: ", groups.name AS group_name, groups.description AS group_description, \
                  groups.role_arn AS group_role_arn, groups.precedence AS group_precedence, \
                  groups.created_ms AS group_created_ms, groups.modified_ms AS group_modified_ms",
        joins: format!(
            " LEFT JOIN memberships ON memberships.pool_id = {pool} AND memberships.sub = {sub} \
             LEFT JOIN groups ON groups.pool_id = memberships.pool_id AND groups.name = memberships.group_name"
        ),
        order: ORDER,
    }
}

fn read(row: &Row) -> Result<Group> {
    Ok(Group {
        pool_id: row.text("pool_id")?,
        name: row.text("name")?,
        description: row.opt_text("description")?,
        role_arn: row.opt_text("role_arn")?,
        precedence: row.opt_int("precedence")?,
        created_ms: row.int("created_ms")?,
        modified_ms: row.int("modified_ms")?,
    })
}

const OF_USER: &str = "SELECT groups.* FROM memberships
    JOIN groups ON groups.pool_id = memberships.pool_id AND groups.name = memberships.group_name
    WHERE memberships.pool_id = $1 AND memberships.sub = $2";

// The databases order NULL differently, so it is given its place.
const ORDER: &str = " ORDER BY CASE WHEN groups.precedence IS NULL THEN 1 ELSE 0 END, groups.precedence, groups.name";

const LIST_OF_USER: &str = "SELECT groups.* FROM memberships
    JOIN groups ON groups.pool_id = memberships.pool_id AND groups.name = memberships.group_name
    WHERE memberships.pool_id = $1 AND memberships.sub = $2 AND memberships.group_name > $3
    ORDER BY memberships.group_name LIMIT $4";

const LIST: &str = "SELECT * FROM groups WHERE pool_id = $1 AND name > $2 ORDER BY name LIMIT $3";

const FIND: &str = "SELECT * FROM groups WHERE pool_id = $1 AND name = $2";

const COUNT: &str = "SELECT COUNT(*) AS size FROM groups WHERE pool_id = $1";

const COUNT_OF_USER: &str =
    "SELECT COUNT(*) AS size FROM memberships WHERE pool_id = $1 AND sub = $2";

const INSERT: &str =
    "INSERT INTO groups (pool_id, name, description, role_arn, precedence, created_ms, modified_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (pool_id, name) DO NOTHING";

const UPDATE: &str =
    "UPDATE groups SET description = $3, role_arn = $4, precedence = $5, modified_ms = $6
    WHERE pool_id = $1 AND name = $2";

const DELETE: &str = "DELETE FROM groups WHERE pool_id = $1 AND name = $2";

const JOIN: &str = "INSERT INTO memberships (pool_id, group_name, sub) VALUES ($1, $2, $3)
    ON CONFLICT (pool_id, group_name, sub) DO NOTHING";

const LEAVE: &str = "DELETE FROM memberships WHERE pool_id = $1 AND group_name = $2 AND sub = $3";
