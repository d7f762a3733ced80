use engine::auth::{Door, SignIn, refresh};
use wire::idp::{GetTokensFromRefreshTokenRequest, GetTokensFromRefreshTokenResponse};

use super::answer::result;
use crate::{Public, Result};

/// `GetTokensFromRefreshToken`: refreshes a sign-in, and the refresh token where the client rotates them.
pub(super) async fn get_tokens_from_refresh_token(
    cx: Public<'_>,
    req: GetTokensFromRefreshTokenRequest,
) -> Result<GetTokensFromRefreshTokenResponse> {
    let (pool, client) = cx.client(&req.client_id).await?;
    let sign_in = SignIn {
        engine: cx.engine(),
        pool: &pool,
        client: &client,
        door: Door::Public,
    };
    let tokens =
        refresh::by_secret(sign_in, &req.refresh_token, req.client_secret.as_deref()).await?;
    Ok(GetTokensFromRefreshTokenResponse {
        authentication_result: Some(result(tokens)),
    })
}
