use engine::user;
use wire::idp::{AdminConfirmSignUpRequest, AdminConfirmSignUpResponse};

use crate::{Admin, Result};

/// `AdminConfirmSignUp`: confirms an account without its code.
pub(super) async fn admin_confirm_sign_up(
    cx: Admin<'_>,
    request: AdminConfirmSignUpRequest,
) -> Result<AdminConfirmSignUpResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    user::admin_confirm_sign_up(cx.engine(), &pool, &request.username).await?;
    Ok(AdminConfirmSignUpResponse::default())
}
