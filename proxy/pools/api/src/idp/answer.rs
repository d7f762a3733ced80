//! What a step of a sign-in comes to, in the shape that four operations share.

use std::collections::BTreeMap;

use engine::auth::{Answer, Challenge, Tokens};
use wire::idp::{AuthenticationResultType, ChallengeNameType};

/// The members of an answer.
pub(super) struct Members {
    pub(super) challenge_name: Option<ChallengeNameType>,
    pub(super) session: Option<String>,
    pub(super) challenge_parameters: Option<BTreeMap<String, String>>,
    pub(super) authentication_result: Option<AuthenticationResultType>,
}

impl From<Answer> for Members {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Challenge(Challenge {
                kind,
                parameters,
                session,
            }) => Self {
                challenge_name: ChallengeNameType::from_text(kind.as_str()),
                session,
                challenge_parameters: Some(parameters),
                authentication_result: None,
            },
            // AWS sends empty parameters along with tokens.
            Answer::Tokens(tokens) => Self {
                challenge_name: None,
                session: None,
                challenge_parameters: Some(BTreeMap::new()),
                authentication_result: Some(result(tokens)),
            },
        }
    }
}

/// `AuthenticationResult`.
pub(super) fn result(tokens: Tokens) -> AuthenticationResultType {
    AuthenticationResultType {
        access_token: Some(tokens.access_token),
        expires_in: Some(tokens.expires_in),
        token_type: Some("Bearer".to_owned()),
        refresh_token: tokens.refresh_token,
        id_token: Some(tokens.id_token),
        new_device_metadata: None,
    }
}

/// A response of these members.
macro_rules! response {
    ($response:ident, $answer:expr) => {{
        let members = $crate::idp::answer::Members::from($answer);
        $response {
            challenge_name: members.challenge_name,
            session: members.session,
            challenge_parameters: members.challenge_parameters,
            authentication_result: members.authentication_result,
            available_challenges: None,
        }
    }};
}

pub(super) use response;
