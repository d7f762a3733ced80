use engine::user;
use wire::idp::{ConfirmSignUpRequest, ConfirmSignUpResponse};

use crate::{Public, Result};

/// `ConfirmSignUp`: a user gives the code that confirms the account.
pub(super) async fn confirm_sign_up(
    cx: Public<'_>,
    request: ConfirmSignUpRequest,
) -> Result<ConfirmSignUpResponse> {
    let (pool, client) = cx.client(&request.client_id).await?;
    client.check_secret_hash(&request.username, request.secret_hash.as_deref())?;
    let (name, code) = (&request.username, &request.confirmation_code);
    let force = request.force_alias_creation == Some(true);
    user::confirm_sign_up(cx.engine(), &pool, &client, name, code, force).await?;
    Ok(ConfirmSignUpResponse::default())
}
