//! Takes away what time has made meaningless.

use store::{Tx, args};

use crate::user::allowance;
use crate::{Engine, Result};

/// Deletes expired refresh tokens, forgotten failures, allowances of names and challenges that are too old to be answered again,
/// and drops the counts of deleted clients.
///
/// Nothing depends on it but the size of the store and of the metrics: every reader looks at the time itself.
pub async fn sweep(engine: &Engine) -> Result<()> {
    let now_ms = engine.now_ms();
    engine
        .db()
        .write_with(now_ms, |tx, now_ms| Box::pin(delete(tx, *now_ms)))
        .await?;
    engine.auth().sign_ins.sweep(engine).await
}

async fn delete(tx: &mut Tx, now_ms: i64) -> Result<()> {
    // An access token may outlive its refresh token, whose row is what ends it.
    tx.execute(
        "DELETE FROM refresh_tokens WHERE expires_ms <= $1",
        args![now_ms - LONGEST_TOKEN_MS],
    )
    .await?;
    for sql in [
        "DELETE FROM sign_in_failures WHERE expires_ms <= $1",
        "DELETE FROM answered_challenges WHERE expires_ms <= $1",
    ] {
        tx.execute(sql, args![now_ms]).await?;
    }
    allowance::sweep(tx, now_ms).await
}

/// The longest life of an access token.
const LONGEST_TOKEN_MS: i64 = 24 * 60 * 60 * 1000;
