//! What a client carries between two steps of a sign-in: our own state, sealed. It opens only for the pool, client and
//! challenge it was made for, only for a time, and it is taken once.

use serde::{Deserialize, Serialize};
use store::{Tx, args};

use super::{ChallengeKind, SignIn, millis};
use crate::seal::place;
use crate::{Error, Result, rng};

/// The state of a sign-in whose challenge waits for an answer.
///
/// INVARIANT: its length does not tell whether the user exists.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Names the challenge, for taking it once.
    #[serde(rename = "i")]
    pub(super) id: String,
    /// Epoch milliseconds from which on it is too old.
    #[serde(rename = "e")]
    pub(super) expires_ms: i64,
    /// The user's `sub`, or what would be one.
    #[serde(rename = "s")]
    pub(super) sub: String,
    /// `USER_ID_FOR_SRP`.
    #[serde(rename = "u")]
    pub(super) user_id: String,
    /// The name the sign-in began with.
    #[serde(rename = "n")]
    pub(super) given: String,
    /// What the challenge itself needs, in base64 or hexadecimal.
    #[serde(rename = "x")]
    pub(super) detail: String,
}

/// Why an answer to a challenge is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not ours, or of another pool, client, user or challenge.
    Invalid,
    /// Too late.
    Expired,
    /// Answered before.
    Used,
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::not_authorized(match problem {
            Problem::Invalid => "Invalid session for the user.",
            Problem::Expired => "Invalid session for the user, session is expired.",
            Problem::Used => "Invalid session for the user, session can only be used once.",
        })
    }
}

impl Waiting {
    /// The state of a new challenge, which waits as long as the client's settings say.
    pub(super) fn new(
        sign_in: SignIn<'_>,
        sub: String,
        user_id: String,
        given: &str,
        detail: String,
    ) -> Self {
        let life_ms = millis(sign_in.client.session_validity());
        Self {
            id: hex::encode(rng::bytes::<16>(sign_in.engine.rng())),
            expires_ms: sign_in.engine.now_ms().saturating_add(life_ms),
            sub,
            user_id,
            given: given.to_owned(),
            detail,
        }
    }

    /// The text that the client carries.
    pub(super) fn seal(&self, sign_in: SignIn<'_>, kind: ChallengeKind) -> Result<String> {
        let plain = serde_json::to_vec(self).map_err(|_| Error::Crypto("sealing a challenge"))?;
        Ok(sign_in
            .engine
            .sealer()
            .seal(sign_in.engine.rng(), &aad(sign_in, kind), &plain)?)
    }

    /// Reads what a client brings back.
    pub(super) fn open(sign_in: SignIn<'_>, kind: ChallengeKind, sealed: &str) -> Result<Self> {
        let plain = sign_in
            .engine
            .sealer()
            .open(&aad(sign_in, kind), sealed)
            .map_err(|_| Problem::Invalid)?;
        let waiting: Self = serde_json::from_slice(&plain).map_err(|_| Problem::Invalid)?;
        if sign_in.engine.now_ms() < waiting.expires_ms {
            Ok(waiting)
        } else {
            Err(Problem::Expired.into())
        }
    }

    /// Refuses a challenge that was answered before, so that a replay is told so whatever changed since. Only
    /// [`take`] decides between answers at the same time.
    pub(super) async fn refuse_answered(&self, sign_in: SignIn<'_>) -> Result<()> {
        let sql = "SELECT id FROM answered_challenges WHERE id = $1";
        match sign_in.engine.db().row(sql, args![self.id]).await? {
            Some(_) => Err(Problem::Used.into()),
            None => Ok(()),
        }
    }

    /// Refuses an answer that names another user than the challenge does.
    pub(super) fn check_user(&self, given: &str) -> Result<()> {
        // Clients send USER_ID_FOR_SRP, or go on with the name they began with.
        if given == self.user_id || given == self.given {
            Ok(())
        } else {
            Err(Problem::Invalid.into())
        }
    }
}

/// Takes a challenge; `false` if it was taken before.
pub(super) async fn take(tx: &mut Tx, id: &str, expires_ms: i64) -> Result<bool> {
    let sql = "INSERT INTO answered_challenges (id, expires_ms) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    Ok(tx.execute(sql, args![id, expires_ms]).await? == 1)
}

fn aad(sign_in: SignIn<'_>, kind: ChallengeKind) -> String {
    place(
        "challenge",
        kind.as_str(),
        &[sign_in.pool.id(), sign_in.client.id()],
    )
}
