//! What a sign-in with a password rests on, as the store has it.

use store::{Argument, Row, Value};

use super::lockout::{self, Failures};
use crate::group::Group;
use crate::user::{self, User};
use crate::{Error, Result, group, revocation};

/// A user, or a name that nobody has.
pub(super) struct State {
    /// The user, if there is one.
    pub(super) user: Option<User>,
    /// The failures so far.
    pub(super) failures: Failures,
    /// What tokens would rest on.
    pub(super) basis: Basis,
}

/// What the tokens of a sign-in tell of the store besides the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Basis {
    /// The user's groups, the one of lowest precedence first.
    pub(super) groups: Vec<Group>,
    /// The latest revocation of the user's tokens, in the store's milliseconds.
    pub(super) latest_ms: Option<i64>,
}

/// A statement that finds a user, and its arguments, of which the pool's id is the first.
pub(super) type Wanted = (&'static str, Vec<Value>);

/// The statement that reads the state of whom `wanted` finds, or of the stand-in `absent`: a row for each group, and one
/// where nobody is found, whose failures are counted, too.
///
/// It is one statement, as all is then of one snapshot, and as each one more keeps all other writers waiting.
pub(super) fn statement(
    (sql, mut args): Wanted,
    absent: &str,
    client_id: &str,
) -> (String, Vec<Value>) {
    args.extend([absent.value(), client_id.value()]);
    let (absent, client) = (args.len() - 1, args.len());
    let groups = group::of_user_joined("$1", "found.sub");
    let latest = revocation::latest_sql("$1", "found.sub", &format!("${client}"));
    let sql = format!(
        "SELECT found.*, failures, locked_until_ms, expires_ms, {latest} AS latest_ms{columns} \
         FROM (SELECT 1 AS one) AS one LEFT JOIN ({sql}) AS found ON 1 = 1 \
         LEFT JOIN sign_in_failures ON sign_in_failures.pool_id = $1 AND subject = COALESCE(found.sub, ${absent})\
         {joins}{order}",
        columns = groups.columns,
        joins = groups.joins,
        order = groups.order,
    );
    (sql, args)
}

impl State {
    /// Reads the rows of the [`statement`].
    pub(super) fn read(rows: &[Row], pool_id: &str) -> Result<Self> {
        let row = rows.first().ok_or(Error::Corrupt {
            what: "statement for a sign-in",
            source: None,
        })?;
        let found = row.opt_text("sub")?.is_some();
        let groups = rows
            .iter()
            .filter_map(|row| group::read_joined(row, pool_id).transpose());
        Ok(Self {
            user: found.then(|| user::read(row)).transpose()?,
            failures: lockout::joined(row)?,
            basis: Basis {
                groups: groups.collect::<Result<_>>()?,
                latest_ms: row.opt_int("latest_ms")?,
            },
        })
    }
}
