use engine::auth::{self, Door, SignIn};
use wire::idp::{AdminInitiateAuthRequest, AdminInitiateAuthResponse};

use super::answer::response;
use crate::{Admin, Result};

/// `AdminInitiateAuth`: begins a sign-in on a server that signs its calls.
pub(super) async fn admin_initiate_auth(
    cx: Admin<'_>,
    req: AdminInitiateAuthRequest,
) -> Result<AdminInitiateAuthResponse> {
    let (pool, client) = cx.client(&req.user_pool_id, &req.client_id).await?;
    let sign_in = SignIn {
        engine: cx.engine(),
        pool: &pool,
        client: &client,
        door: Door::Admin,
    };
    let parameters = req.auth_parameters.unwrap_or_default();
    let answer = auth::initiate(sign_in, req.auth_flow.as_str(), &parameters).await?;
    Ok(response!(AdminInitiateAuthResponse, answer))
}
