use engine::auth::refresh;
use wire::idp::{RevokeTokenRequest, RevokeTokenResponse};

use crate::{Error, Public, Result};

/// `RevokeToken`: ends the sign-in that a refresh token belongs to.
///
/// `RevokeAssociatedSessions` changes nothing: no sign-in is linked to another.
pub(super) async fn revoke_token(
    cx: Public<'_>,
    req: RevokeTokenRequest,
) -> Result<RevokeTokenResponse> {
    let (pool, client) = cx.client(&req.client_id).await?;
    client
        .check_secret(req.client_secret.as_deref())
        .map_err(unauthorized)?;
    refresh::revoke(cx.engine(), &pool, &client, &req.token).await?;
    Ok(RevokeTokenResponse {})
}

/// The model of this operation knows `UnauthorizedException` where others have `NotAuthorizedException`.
fn unauthorized(error: engine::Error) -> Error {
    match error {
        engine::Error::Refused { message, .. } => Error::new("UnauthorizedException", message),
        failure => failure.into(),
    }
}
