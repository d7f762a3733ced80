//! How often a user may do something within an hour.

use store::{Tx, args};

use crate::{Error, Result};

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
    let args = args![
        pool_id,
        sub,
        action.as_str(),
        now_ms,
        now_ms.saturating_sub(HOUR_MS),
        action.per_hour()
    ];
    let used = match tx.row(TAKE, args).await? {
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
const TAKE: &str = "INSERT INTO allowances (pool_id, sub, action, started_ms, used) VALUES ($1, $2, $3, $4, 1)
    ON CONFLICT (pool_id, sub, action) DO UPDATE SET
        used = CASE WHEN allowances.started_ms <= $5 THEN 1
                    WHEN allowances.used > $6 THEN allowances.used ELSE allowances.used + 1 END,
        started_ms = CASE WHEN allowances.started_ms <= $5 THEN excluded.started_ms ELSE allowances.started_ms END
    RETURNING used";

const HOUR_MS: i64 = 60 * 60 * 1000;
