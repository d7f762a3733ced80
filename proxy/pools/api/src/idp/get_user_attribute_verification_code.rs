use engine::user;
use wire::idp::{
    GetUserAttributeVerificationCodeRequest, GetUserAttributeVerificationCodeResponse,
};

use super::shape;
use crate::{Bearer, Result};

/// `GetUserAttributeVerificationCode`: sends a code to the caller's address.
pub(super) async fn get_user_attribute_verification_code(
    cx: Bearer<'_>,
    request: GetUserAttributeVerificationCodeRequest,
) -> Result<GetUserAttributeVerificationCodeResponse> {
    let token = cx.token();
    let (pool, sub) = (&token.pool, &token.user.sub);
    let sent = user::send_attribute_code(cx.engine(), pool, sub, &request.attribute_name).await?;
    Ok(GetUserAttributeVerificationCodeResponse {
        code_delivery_details: Some(shape::delivery(sent)),
    })
}
