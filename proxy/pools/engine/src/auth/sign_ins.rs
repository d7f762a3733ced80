//! How many sign-ins there were, for `portcullis_sign_ins_total{pool,client,result}`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::{Answer, Challenge, ChallengeKind, SignIn};
use crate::{Engine, Error, Refusal, Result, client};

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignInResult {
    /// With tokens.
    Success,
    /// The user was asked for something more.
    Challenge,
    /// The credentials, or the user, were refused.
    Refused,
    /// The call itself was not right, or we failed.
    Error,
}

impl SignInResult {
    /// The value of the label `result`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Challenge => "challenge",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }

    fn of(answer: &Result<Answer>) -> Self {
        match answer {
            Ok(Answer::Tokens(_)) => Self::Success,
            Ok(Answer::Challenge(_)) => Self::Challenge,
            Err(error) if is_refusal(error) => Self::Refused,
            Err(_) => Self::Error,
        }
    }
}

/// How many sign-ins of a client that is there ended one way since the process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIns {
    /// The pool's id.
    pub pool: String,
    /// The client's id.
    pub client: String,
    /// How they ended.
    pub result: SignInResult,
    /// How many.
    pub count: u64,
}

/// The counts. Pools and clients come from the store, so callers cannot make labels.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<BTreeMap<(String, String, SignInResult), u64>>);

impl Counters {
    /// Counts the end of a sign-in. The first half of SRP is none: nobody has proved anything yet.
    pub(super) fn count(&self, sign_in: SignIn<'_>, answer: &Result<Answer>) {
        let unproved = |challenge: &Challenge| challenge.kind == ChallengeKind::PasswordVerifier;
        if matches!(answer, Ok(Answer::Challenge(challenge)) if unproved(challenge)) {
            return;
        }
        let (pool, client, result) = (
            sign_in.pool.id(),
            sign_in.client.id(),
            SignInResult::of(answer),
        );
        tracing::info!(pool, client, result = result.as_str(), "Sign-in");
        let key = (pool.to_owned(), client.to_owned(), result);
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default() += 1;
    }

    /// Drops the counts of clients that are gone: nobody signs in through them any more.
    pub(super) async fn sweep(&self, engine: &Engine) -> Result<()> {
        let clients: BTreeSet<_> = self.all().into_iter().map(|one| one.client).collect();
        for id in clients {
            if client::find(engine, &id).await?.is_none() {
                let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                counts.retain(|(_, client, _), _| *client != id);
            }
        }
        Ok(())
    }

    /// All counts.
    pub(crate) fn all(&self) -> Vec<SignIns> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let each = counts
            .iter()
            .map(|((pool, client, result), count)| SignIns {
                pool: pool.clone(),
                client: client.clone(),
                result: *result,
                count: *count,
            });
        each.collect()
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error.refusal(),
        Some(
            Refusal::NotAuthorized
                | Refusal::UserNotFound
                | Refusal::UserNotConfirmed
                | Refusal::PasswordResetRequired
                | Refusal::InvalidPassword
        )
    )
}
