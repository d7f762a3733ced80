//! How often a user may do something within an hour.

use store::{Tx, args};

use super::name::canonical;
use crate::pool::Pool;
use crate::{Engine, Error, Result};

/// What is counted; the numbers are AWS's
/// (<https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    ResendCode,
    ConfirmSignUp,
    ChangePassword,
    AttributeCode,
    VerifyAttribute,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::ResendCode => "resend_code",
            Self::ConfirmSignUp => "confirm_sign_up",
            Self::ChangePassword => "change_password",
            Self::AttributeCode => "attribute_code",
            Self::VerifyAttribute => "verify_attribute",
        }
    }

    fn per_hour(self) -> i64 {
        match self {
            Self::ResendCode | Self::ChangePassword | Self::AttributeCode => 5,
            Self::ConfirmSignUp | Self::VerifyAttribute => 15,
        }
    }
}

/// Takes one from the user's allowance, and answers with the refusal when none is left.
///
/// The count is kept only if the transaction is committed: where a failed try counts too, return the failure as a
/// value of the transaction.
pub(crate) async fn take(
    tx: &mut Tx,
    pool_id: &str,
    sub: &str,
    action: Action,
    now_ms: i64,
) -> Result<Result<()>> {
    count(tx, TAKE, pool_id, sub, action, now_ms).await
}

/// A name as it is counted where a client hides whether anybody has it.
#[derive(Debug, Clone)]
pub(crate) struct Name(String);

impl Name {
    /// The name that a caller gave. Not within a transaction, as the first ever writes.
    pub(crate) async fn of(engine: &Engine, pool: &Pool, given: &str) -> Result<Self> {
        let name = canonical(given, pool.case());
        let bytes = engine
            .auth()
            .derivation
            .bytes(engine, "allowance", &[pool.id(), &name])
            .await?;
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        Ok(Self(id.to_string()))
    }
}

/// Like [`take`], for a name, whether or not a user has it.
pub(crate) async fn take_of_name(
    tx: &mut Tx,
    pool_id: &str,
    name: &Name,
    action: Action,
    now_ms: i64,
) -> Result<Result<()>> {
    count(tx, TAKE_OF_NAME, pool_id, &name.0, action, now_ms).await
}

/// Deletes the counts of names whose hour is over, so that names that are made up do not fill the store.
pub(crate) async fn sweep(tx: &mut Tx, now_ms: i64) -> Result<()> {
    let sql = "DELETE FROM name_allowances WHERE started_ms <= $1";
    tx.execute(sql, args![now_ms.saturating_sub(HOUR_MS)])
        .await?;
    Ok(())
}

async fn count(
    tx: &mut Tx,
    sql: &'static str,
    pool_id: &str,
    whose: &str,
    action: Action,
    now_ms: i64,
) -> Result<Result<()>> {
    let args = args![
        pool_id,
        whose,
        action.as_str(),
        now_ms,
        now_ms.saturating_sub(HOUR_MS),
        action.per_hour()
    ];
    let used = match tx.row(sql, args).await? {
        Some(row) => row.int("used")?,
        None => i64::MAX,
    };
    Ok(if used <= action.per_hour() {
        Ok(())
    } else {
        Err(Error::attempt_limit())
    })
}

// The count stops one past the limit, and the hour runs from its first use: trying on does not prolong it.
macro_rules! take {
    ($table:literal, $whose:literal) => {
        concat!(
            "INSERT INTO ", $table, " AS held (pool_id, ", $whose, ", action, started_ms, used)
            VALUES ($1, $2, $3, $4, 1)
            ON CONFLICT (pool_id, ", $whose, ", action) DO UPDATE SET
                used = CASE WHEN held.started_ms <= $5 THEN 1
                            WHEN held.used > $6 THEN held.used ELSE held.used + 1 END,
                started_ms = CASE WHEN held.started_ms <= $5 THEN excluded.started_ms ELSE held.started_ms END
            RETURNING used"
        )
    };
}

const TAKE: &str = take!("allowances", "sub");
const TAKE_OF_NAME: &str = take!("name_allowances", "name");

const HOUR_MS: i64 = 60 * 60 * 1000;
