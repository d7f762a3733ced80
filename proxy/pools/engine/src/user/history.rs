//! Earlier passwords that must not come again.

use zeroize::Zeroizing;

use super::User;
use crate::credential::{self, Owner};
use crate::pool::Pool;
use crate::seal::place;
use crate::{Engine, Error, Refusal, Result};

/// Refuses a password that is the user's present one or one of those before, as many as the pool remembers.
///
/// It costs a hash each: no transaction should be open meanwhile.
pub async fn check_history(
    engine: &Engine,
    pool: &Pool,
    user: &User,
    password: &str,
) -> Result<()> {
    let size = pool.password_policy().history_size();
    let Some(present) = user.password.as_ref().filter(|_| size > 0) else {
        return Ok(());
    };
    let mut seen = credential::verify(engine, user.owner(), Some(&present.hash), password).await?;
    for hash in earlier(engine, user)?.iter().take(size.saturating_sub(1)) {
        if seen {
            break;
        }
        seen = engine.hasher().verify(password, hash).await?.is_right();
    }
    if seen {
        Err(Error::refused(
            Refusal::PasswordHistoryPolicyViolation,
            "Password has previously been used",
        ))
    } else {
        Ok(())
    }
}

/// The history with the present password on top, sealed; `None` when the pool keeps none.
pub(super) fn with_current(engine: &Engine, pool: &Pool, user: &User) -> Result<Option<String>> {
    let size = pool.password_policy().history_size();
    let Some(present) = user.password.as_ref().filter(|_| size > 0) else {
        return Ok(None);
    };
    let mut hashes = vec![open(engine, user.owner(), "password_hash", &present.hash)?];
    hashes.extend(earlier(engine, user)?);
    hashes.truncate(size);
    let texts: Vec<&str> = hashes.iter().map(|hash| hash.as_str()).collect();
    let plain = Zeroizing::new(serde_json::Value::from(texts).to_string());
    Ok(Some(engine.sealer().seal(
        engine.rng(),
        &aad(user.owner(), HISTORY),
        plain.as_bytes(),
    )?))
}

fn earlier(engine: &Engine, user: &User) -> Result<Vec<Zeroizing<String>>> {
    let Some(sealed) = user
        .password
        .as_ref()
        .and_then(|password| password.history.as_deref())
    else {
        return Ok(Vec::new());
    };
    let plain = open(engine, user.owner(), HISTORY, sealed)?;
    let hashes: Vec<String> = serde_json::from_str(&plain)
        .map_err(|source| Error::corrupt("users.password_history", source))?;
    Ok(hashes.into_iter().map(Zeroizing::new).collect())
}

fn open(
    engine: &Engine,
    owner: Owner<'_>,
    column: &'static str,
    sealed: &str,
) -> Result<Zeroizing<String>> {
    let bytes = engine.sealer().open(&aad(owner, column), sealed)?;
    let text = std::str::from_utf8(&bytes).map_err(|source| Error::corrupt(column, source))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn aad(owner: Owner<'_>, column: &str) -> String {
    place("users", column, &[owner.pool_id, owner.sub])
}

const HISTORY: &str = "password_history";
