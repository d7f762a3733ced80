use engine::auth::{self, Door, SignIn};
use wire::idp::{AdminRespondToAuthChallengeRequest, AdminRespondToAuthChallengeResponse};

use super::answer::response;
use crate::{Admin, Result};

/// `AdminRespondToAuthChallenge`: answers a challenge on a server that signs its calls.
pub(super) async fn admin_respond_to_auth_challenge(
    cx: Admin<'_>,
    req: AdminRespondToAuthChallengeRequest,
) -> Result<AdminRespondToAuthChallengeResponse> {
    let (pool, client) = cx.client(&req.user_pool_id, &req.client_id).await?;
    let sign_in = SignIn {
        engine: cx.engine(),
        pool: &pool,
        client: &client,
        door: Door::Admin,
    };
    let responses = req.challenge_responses.unwrap_or_default();
    let answer = auth::respond(
        sign_in,
        req.challenge_name.as_str(),
        req.session.as_deref(),
        &responses,
    )
    .await?;
    Ok(response!(AdminRespondToAuthChallengeResponse, answer))
}
