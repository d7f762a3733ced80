use engine::user;
use wire::idp::{VerifyUserAttributeRequest, VerifyUserAttributeResponse};

use crate::{Bearer, Result};

/// `VerifyUserAttribute`: takes the code that proves the caller's address.
pub(super) async fn verify_user_attribute(
    cx: Bearer<'_>,
    request: VerifyUserAttributeRequest,
) -> Result<VerifyUserAttributeResponse> {
    let token = cx.token();
    let (pool, sub) = (&token.pool, &token.user.sub);
    user::verify_attribute(
        cx.engine(),
        pool,
        sub,
        &request.attribute_name,
        &request.code,
    )
    .await?;
    Ok(VerifyUserAttributeResponse::default())
}
