use engine::auth::{self, Door, SignIn};
use wire::idp::{RespondToAuthChallengeRequest, RespondToAuthChallengeResponse};

use super::answer::response;
use crate::{Public, Result};

/// `RespondToAuthChallenge`: answers a challenge of a sign-in.
pub(super) async fn respond_to_auth_challenge(
    cx: Public<'_>,
    req: RespondToAuthChallengeRequest,
) -> Result<RespondToAuthChallengeResponse> {
    let (pool, client) = cx.client(&req.client_id).await?;
    let sign_in = SignIn {
        engine: cx.engine(),
        pool: &pool,
        client: &client,
        door: Door::Public,
    };
    let responses = req.challenge_responses.unwrap_or_default();
    let answer = auth::respond(
        sign_in,
        req.challenge_name.as_str(),
        req.session.as_deref(),
        &responses,
    )
    .await?;
    Ok(response!(RespondToAuthChallengeResponse, answer))
}
