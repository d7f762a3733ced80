//! How fast passwords can be tried: after five wrong ones in a row each further one doubles a wait, up to 15 minutes
//! (<https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html>, "Lockout behavior").
//!
//! An attempt is settled in one transaction, after its password was compared: whatever many attempts at once learn is
//! what they would have learned one after another.

use store::{Row, Tx, args};

use crate::{Error, Result};

/// Wrong passwords in a row for one user, or for one name that nobody has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    count: i64,
    locked_until_ms: i64,
    expires_ms: i64,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The password was right.
    Right,
    /// The password was wrong, which is counted.
    Wrong,
    /// The wait is not over: the password does not matter, and nothing is counted.
    Locked,
}

impl Failures {
    /// Whether a password counts for nothing at `now_ms`.
    pub(crate) fn is_locked(&self, now_ms: i64) -> bool {
        now_ms < self.locked_until_ms
    }

    /// The state after one more wrong password.
    fn and_one(&self, now_ms: i64) -> Self {
        let count = if now_ms < self.expires_ms {
            self.count.saturating_add(1)
        } else {
            1
        };
        let locked_until_ms = now_ms.saturating_add(lock_ms(count));
        Self {
            count,
            locked_until_ms,
            expires_ms: locked_until_ms.saturating_add(FORGET_MS),
        }
    }
}

/// Refuses an attempt during the wait, before its password costs a hash.
pub(crate) fn refuse_locked(failures: &Failures, now_ms: i64) -> Result<()> {
    if failures.is_locked(now_ms) {
        Err(attempts_exceeded())
    } else {
        Ok(())
    }
}

/// The answer to whoever tries too often.
pub(crate) fn attempts_exceeded() -> Error {
    Error::not_authorized("Password attempts exceeded")
}

/// The failures that a LEFT JOIN of `sign_in_failures` found, if any.
pub(crate) fn joined(row: &Row) -> Result<Failures> {
    Ok(match row.opt_int("failures")? {
        Some(count) => Failures {
            count,
            locked_until_ms: row.int("locked_until_ms")?,
            expires_ms: row.int("expires_ms")?,
        },
        None => Failures::default(),
    })
}

/// Settles an attempt: counts a wrong password, forgets earlier ones at a right one. `before` was read in the same
/// transaction.
pub(crate) async fn settle(
    tx: &mut Tx,
    pool_id: &str,
    subject: &str,
    before: Failures,
    right: bool,
    now_ms: i64,
) -> Result<Settled> {
    if before.is_locked(now_ms) {
        return Ok(Settled::Locked);
    }
    if !right {
        put(tx, pool_id, subject, before.and_one(now_ms)).await?;
        return Ok(Settled::Wrong);
    }
    if before != Failures::default() {
        forget(tx, pool_id, subject).await?;
    }
    Ok(Settled::Right)
}

/// Forgets the failures of a subject.
pub(crate) async fn forget(tx: &mut Tx, pool_id: &str, subject: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM sign_in_failures WHERE pool_id = $1 AND subject = $2",
        args![pool_id, subject],
    )
    .await?;
    Ok(())
}

async fn put(tx: &mut Tx, pool_id: &str, subject: &str, failures: Failures) -> Result<()> {
    let sql = "INSERT INTO sign_in_failures (pool_id, subject, failures, locked_until_ms, expires_ms) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pool_id, subject) DO UPDATE SET \
               failures = excluded.failures, locked_until_ms = excluded.locked_until_ms, \
               expires_ms = excluded.expires_ms";
    let Failures {
        count,
        locked_until_ms,
        expires_ms,
    } = failures;
    tx.execute(
        sql,
        args![pool_id, subject, count, locked_until_ms, expires_ms],
    )
    .await?;
    Ok(())
}

/// 2^(n-5) seconds after the n-th wrong password in a row.
fn lock_ms(count: i64) -> i64 {
    match count.saturating_sub(FREE_ATTEMPTS) {
        doublings @ 0..=9 => 1000 << doublings,
        ..0 => 0,
        _ => MAX_LOCK_MS,
    }
}

const FREE_ATTEMPTS: i64 = 5;
const MAX_LOCK_MS: i64 = 15 * 60 * 1000;
/// Without an attempt for so long after a wait, the count begins anew.
const FORGET_MS: i64 = 15 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let seconds: Vec<_> = (1..=17).map(|count| lock_ms(count) / 1000).collect();
        assert_eq!(
            seconds,
            [
                0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900
            ]
        );
        assert_eq!(lock_ms(i64::MAX), MAX_LOCK_MS);
    }

    #[test]
    fn the_wait_ends_on_the_millisecond() {
        let fifth = (0..5).fold(Failures::default(), |failures, _| failures.and_one(10_000));
        assert!(fifth.is_locked(10_999) && !fifth.is_locked(11_000));
        assert!(refuse_locked(&fifth, 10_999).is_err() && refuse_locked(&fifth, 11_000).is_ok());
    }

    #[test]
    fn a_quiet_quarter_of_an_hour_forgets() {
        let fifth = (0..5).fold(Failures::default(), |failures, _| failures.and_one(0));
        assert_eq!(fifth.and_one(1000 + FORGET_MS - 1).count, 6);
        assert_eq!(fifth.and_one(1000 + FORGET_MS).count, 1);
    }
}
