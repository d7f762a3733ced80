//! Every flow, each refusal, and the boundaries, with a clock that stands still.

mod clocks;
mod lockout;
mod new_password;
mod password;
mod postgres;
mod refresh;
mod renewal;
mod rotation;
mod srp;
mod world;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Answer, Challenge, Parameters, Tokens};
use crate::{Error, Refusal, Result};

/// `AuthParameters` or `ChallengeResponses`.
fn parameters<const N: usize>(pairs: [(&str, &str); N]) -> Parameters {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn tokens(answer: Result<Answer>) -> Tokens {
    match answer.unwrap() {
        Answer::Tokens(tokens) => tokens,
        Answer::Challenge(challenge) => panic!("a challenge instead of tokens: {challenge:?}"),
    }
}

fn challenge(answer: Result<Answer>) -> Challenge {
    match answer.unwrap() {
        Answer::Challenge(challenge) => challenge,
        Answer::Tokens(tokens) => panic!("tokens instead of a challenge: {tokens:?}"),
    }
}

/// Kind and message of a refusal.
fn refusal<T>(answer: Result<T>) -> (Refusal, String) {
    match answer.map(|_| "an answer").unwrap_err() {
        Error::Refused { kind, message } => (kind, message.into_owned()),
        error => panic!("a failure instead of a refusal: {error:?}"),
    }
}

fn not_authorized(message: &str) -> (Refusal, String) {
    (Refusal::NotAuthorized, message.to_owned())
}

fn invalid_parameter(message: &str) -> (Refusal, String) {
    (Refusal::InvalidParameter, message.to_owned())
}

fn incorrect() -> (Refusal, String) {
    not_authorized("Incorrect username or password.")
}

fn exceeded() -> (Refusal, String) {
    not_authorized("Password attempts exceeded")
}

/// The claims of a token, unverified: how tokens are signed is tested where they are made.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
