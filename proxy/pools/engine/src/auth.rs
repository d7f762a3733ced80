//! Sign-in: from a flow, over challenges, to tokens; and refresh tokens, which keep a sign-in alive.
//!
//! `initiate` and `respond` are the two steps of `InitiateAuth` and `RespondToAuthChallenge`, and of their admin
//! twins. Between the steps nothing is stored: what the server must remember is sealed into the challenge itself, and
//! only answered challenges leave a row, so that each counts once.

mod absent;
mod attempt;
mod challenge;
mod conclude;
mod derive;
mod flow;
mod lockout;
mod new_password;
mod password;
pub mod refresh;
mod renewal;
mod sign_ins;
mod srp_password;
mod state;
mod sweep;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use sign_ins::{SignInResult, SignIns};
pub use sweep::sweep;

use store::BoxFuture;

use crate::client::Client;
use crate::pool::Pool;
use crate::{Engine, Error, Result};

/// What authentication keeps in memory; one for an engine.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) derivation: derive::Derivation,
    pub(crate) sign_ins: sign_ins::Counters,
    pub(crate) renewals: renewal::Renewals,
}

/// `AuthParameters` and `ChallengeResponses`.
pub type Parameters = BTreeMap<String, String>;

/// Through which operations a sign-in goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `InitiateAuth`: anybody.
    Public,
    /// `AdminInitiateAuth`: an operator's server.
    Admin,
}

/// Where a sign-in happens.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The pool.
    pub pool: &'a Arc<Pool>,
    /// An app client of the pool.
    pub client: &'a Arc<Client>,
    /// Who asks.
    pub door: Door,
}

impl SignIn<'_> {
    /// Refuses a caller who does not prove the client's secret, where it has one.
    fn check_secret_hash(&self, username: &str, parameters: &Parameters) -> Result<()> {
        self.client
            .check_secret_hash(username, parameters.get("SECRET_HASH").map(String::as_str))
    }

    /// Does what reads the store and then hashes, or costs as much: from the start on a thread for such work, unless it would
    /// not get as far as that there. Whatever can be refused without is refused before, as a place there is for one of few.
    async fn begin(
        self,
        step: impl for<'s> FnOnce(SignIn<'s>) -> BoxFuture<'s, Result<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        if !self.engine.db().reads_in_place() {
            return step(self).await;
        }
        let (engine, pool, client) = (self.engine.clone(), self.pool.clone(), self.client.clone());
        let door = self.door;
        let step = async move {
            let sign_in = SignIn {
                engine: &engine,
                pool: &pool,
                client: &client,
                door,
            };
            step(sign_in).await
        };
        self.engine.hasher().begin(step).await.flatten()
    }

    /// Counts the answer on its way out.
    fn count(&self, answer: Result<Answer>) -> Result<Answer> {
        self.engine.auth().sign_ins.count(*self, &answer);
        answer
    }
}

/// What a step of a sign-in comes to.
#[derive(Debug)]
pub enum Answer {
    /// The user is signed in.
    Tokens(Tokens),
    /// The user must prove or do something more.
    Challenge(Challenge),
}

/// `AuthenticationResult`.
pub struct Tokens {
    /// The access token.
    pub access_token: String,
    /// The ID token.
    pub id_token: String,
    /// A new refresh token; none where the caller's stays good.
    pub refresh_token: Option<String>,
    /// Seconds the access token lives.
    pub expires_in: i64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tokens")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A challenge, with what the client needs to answer it.
pub struct Challenge {
    /// Which.
    pub kind: ChallengeKind,
    /// `ChallengeParameters`.
    pub parameters: Parameters,
    /// `Session`; a challenge that carries its own state has none.
    pub session: Option<String>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Challenge")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The challenges that are made and can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeKind {
    /// The second half of SRP.
    PasswordVerifier,
    /// A temporary password must be replaced.
    NewPasswordRequired,
}

impl ChallengeKind {
    /// `ChallengeName`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordVerifier => "PASSWORD_VERIFIER",
            Self::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
        }
    }
}

/// Begins a sign-in, or refreshes one; `flow` is `AuthFlow`.
pub async fn initiate(sign_in: SignIn<'_>, flow: &str, parameters: &Parameters) -> Result<Answer> {
    match flow::enabled(sign_in, flow)? {
        flow::Step::Password => sign_in.count(password::sign_in(sign_in, parameters).await),
        flow::Step::Srp => sign_in.count(srp_password::challenge(sign_in, parameters).await),
        flow::Step::Refresh => refresh::by_parameters(sign_in, parameters)
            .await
            .map(Answer::Tokens),
    }
}

/// Answers a challenge; `challenge` is `ChallengeName`, `session` what came with it.
pub async fn respond(
    sign_in: SignIn<'_>,
    challenge: &str,
    session: Option<&str>,
    responses: &Parameters,
) -> Result<Answer> {
    match challenge {
        "PASSWORD_VERIFIER" => sign_in.count(srp_password::verify(sign_in, responses).await),
        "NEW_PASSWORD_REQUIRED" => {
            let session = session.ok_or_else(|| missing("Session"))?;
            sign_in.count(new_password::set(sign_in, session, responses).await)
        }
        // No other challenge is ever made, so no session of this kind can be valid.
        _ => Err(challenge::Problem::Invalid.into()),
    }
}

/// A parameter without which the step makes no sense.
fn required<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str> {
    parameters
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| missing(name))
}

/// A duration as the store counts.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn missing(name: &str) -> Error {
    Error::invalid_parameter(format!("Missing required parameter {name}"))
}

#[cfg(test)]
mod tests;
