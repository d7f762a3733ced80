use engine::auth::{self, Door, SignIn};
use wire::idp::{InitiateAuthRequest, InitiateAuthResponse};

use super::answer::response;
use crate::{Public, Result};

/// `InitiateAuth`: begins a sign-in, or refreshes one.
pub(super) async fn initiate_auth(
    cx: Public<'_>,
    req: InitiateAuthRequest,
) -> Result<InitiateAuthResponse> {
    let (pool, client) = cx.client(&req.client_id).await?;
    let sign_in = SignIn {
        engine: cx.engine(),
        pool: &pool,
        client: &client,
        door: Door::Public,
    };
    let parameters = req.auth_parameters.unwrap_or_default();
    let answer = auth::initiate(sign_in, req.auth_flow.as_str(), &parameters).await?;
    Ok(response!(InitiateAuthResponse, answer))
}
