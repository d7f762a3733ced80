use engine::user;
use wire::idp::{ResendConfirmationCodeRequest, ResendConfirmationCodeResponse};

use super::shape;
use crate::{Public, Result};

/// `ResendConfirmationCode`: another code for an account that is not confirmed.
pub(super) async fn resend_confirmation_code(
    cx: Public<'_>,
    request: ResendConfirmationCodeRequest,
) -> Result<ResendConfirmationCodeResponse> {
    let (pool, client) = cx.client(&request.client_id).await?;
    client.check_secret_hash(&request.username, request.secret_hash.as_deref())?;
    let sent = user::resend_code(cx.engine(), &pool, &client, &request.username).await?;
    Ok(ResendConfirmationCodeResponse {
        code_delivery_details: Some(shape::delivery(sent)),
    })
}
