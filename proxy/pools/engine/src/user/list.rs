//! Lists of users, page by page. Each page is one range of an index, however many users there are.

use store::{Row, Value, args};

use super::filter::{Attribute, Filter};
use super::name::canonical;
use super::{User, store as rows};
use crate::page::{self, Page, one_more};
use crate::pool::Pool;
use crate::{Engine, Result};

/// Users of a pool that meet the filter, from where `token` says; at most `limit`.
pub async fn list(
    engine: &Engine,
    pool: &Pool,
    filter: Option<&Filter>,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<User>> {
    let name = format!("users/{}/{filter:?}", pool.id());
    let after = page::after(engine, &name, token)?;
    let Some((sql, args)) = query(pool, filter, after, limit) else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    };
    page(engine, &name, &engine.db().rows(sql, args).await?, limit)
}

/// One page's statement; `None` where nobody can meet the filter.
pub(super) fn query(
    pool: &Pool,
    filter: Option<&Filter>,
    after: Option<[String; 2]>,
    limit: usize,
) -> Option<(String, Vec<Value>)> {
    Some(match range(pool, filter) {
        Range::Nothing => return None,
        Range::All => all(pool, after, limit),
        Range::Equal(column, value) => equal(pool, column, &value, after, limit),
        Range::Prefix(column, prefix) => prefixed(pool, column, &prefix, after, limit),
    })
}

/// Users of a group, from where `token` says; at most `limit`.
pub async fn members(
    engine: &Engine,
    pool: &Pool,
    group: &str,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<User>> {
    let name = format!("members/{}/{group}", pool.id());
    let [_, sub] = page::after(engine, &name, token)?.unwrap_or_default();
    let found = engine
        .db()
        .rows(MEMBERS, args![pool.id(), group, sub, one_more(limit)])
        .await?;
    page(engine, &name, &found, limit)
}

/// What an index must be asked for.
enum Range {
    Nothing,
    All,
    Equal(&'static str, Value),
    Prefix(&'static str, String),
}

fn range(pool: &Pool, filter: Option<&Filter>) -> Range {
    let Some(Filter {
        attribute,
        prefix,
        value,
    }) = filter
    else {
        return Range::All;
    };
    let folded = || canonical(value, pool.case()).into_owned();
    let (column, value) = match attribute {
        Attribute::Enabled => return enabled(*prefix, value),
        Attribute::Username => ("username_key", folded()),
        Attribute::Sub => ("sub", value.clone()),
        Attribute::Email => ("email", folded()),
        Attribute::PhoneNumber => ("phone_number", value.clone()),
        Attribute::Name => ("name", value.clone()),
        Attribute::GivenName => ("given_name", value.clone()),
        Attribute::FamilyName => ("family_name", value.clone()),
        Attribute::PreferredUsername => ("preferred_username", folded()),
        // AWS: alone among the filters, this one does not tell case.
        Attribute::Status => ("status", value.to_uppercase()),
    };
    if value.contains('\0') {
        // No text in the store holds it, and PostgreSQL takes none.
        return Range::Nothing;
    }
    if *prefix {
        Range::Prefix(column, value)
    } else {
        Range::Equal(column, Value::Text(Some(value)))
    }
}

fn enabled(prefix: bool, value: &str) -> Range {
    let meets = |text: &str| {
        if prefix {
            text.starts_with(value)
        } else {
            text == value
        }
    };
    match (meets("Enabled"), meets("Disabled")) {
        (true, true) => Range::All,
        (false, false) => Range::Nothing,
        (enabled, _) => Range::Equal("enabled", Value::Int(Some(i64::from(enabled)))),
    }
}

fn all(pool: &Pool, after: Option<[String; 2]>, limit: usize) -> (String, Vec<Value>) {
    let [_, sub] = after.unwrap_or_default();
    let sql = "SELECT users.*, '' AS place FROM users WHERE pool_id = $1 AND sub > $2 ORDER BY sub LIMIT $3";
    (sql.to_owned(), args![pool.id(), sub, one_more(limit)])
}

fn equal(
    pool: &Pool,
    column: &str,
    value: &Value,
    after: Option<[String; 2]>,
    limit: usize,
) -> (String, Vec<Value>) {
    let [_, sub] = after.unwrap_or_default();
    let sql = format!(
        "SELECT users.*, '' AS place FROM users WHERE pool_id = $1 AND {column} = $2 AND sub > $3
            ORDER BY sub LIMIT $4"
    );
    (sql, args![pool.id(), value, sub, one_more(limit)])
}

fn prefixed(
    pool: &Pool,
    column: &str,
    prefix: &str,
    after: Option<[String; 2]>,
    limit: usize,
) -> (String, Vec<Value>) {
    // No user has an empty sub, so the first page begins with the prefix itself.
    let [place, sub] = after.unwrap_or_else(|| [prefix.to_owned(), String::new()]);
    let sql = format!(
        "SELECT users.*, {column} AS place FROM users
            WHERE pool_id = $1 AND ({column}, sub) > ($2, $3) AND {column} < $4 ORDER BY {column}, sub LIMIT $5"
    );
    (
        sql,
        args![pool.id(), place, sub, end_of(prefix), one_more(limit)],
    )
}

/// The first text behind all that begin with `prefix`, as bytes are ordered; UTF-8 orders as its characters do.
fn end_of(prefix: &str) -> String {
    let mut rest = prefix;
    while let Some(last) = rest.chars().next_back() {
        rest = rest.get(..rest.len() - last.len_utf8()).unwrap_or_default();
        // The step over the surrogates, which are no characters.
        let next = if last == '\u{D7FF}' {
            Some('\u{E000}')
        } else {
            char::from_u32(u32::from(last) + 1)
        };
        if let Some(next) = next {
            return format!("{rest}{next}");
        }
    }
    // Behind everything: no value holds more than a few hundred of the last character.
    "\u{10FFFF}".repeat(super::filter::MAX_LENGTH + 2)
}

fn page(engine: &Engine, name: &str, found: &[Row], limit: usize) -> Result<Page<User>> {
    let read = |row: &Row| Ok((rows::read(row)?, row.text("place")?));
    let found: Vec<(User, String)> = found.iter().map(read).collect::<Result<_>>()?;
    let page = Page::of(engine, name, found, limit, |(user, place)| {
        [place.clone(), user.sub.clone()]
    })?;
    Ok(Page {
        items: page.items.into_iter().map(|(user, _)| user).collect(),
        next: page.next,
    })
}

const MEMBERS: &str = "SELECT users.*, '' AS place FROM memberships
    JOIN users ON users.pool_id = memberships.pool_id AND users.sub = memberships.sub
    WHERE memberships.pool_id = $1 AND memberships.group_name = $2 AND memberships.sub > $3
    ORDER BY memberships.sub LIMIT $4";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_it_begins() {
        for prefix in ["", "a", "az", "é", "a\u{10FFFF}", "\u{D7FF}", "\u{10FFFF}"] {
            let end = end_of(prefix);
            assert!(prefix < end.as_str());
            for more in ["", "\0", "a", "\u{10FFFF}\u{10FFFF}"] {
                assert!(format!("{prefix}{more}") < end, "{prefix:?} {more:?}");
            }
        }
        assert_eq!(end_of("az"), "a{");
    }
}
