use engine::user;
use wire::idp::{AdminEnableUserRequest, AdminEnableUserResponse};

use crate::{Admin, Result};

/// `AdminEnableUser`: lets a user sign in again.
pub(super) async fn admin_enable_user(
    cx: Admin<'_>,
    request: AdminEnableUserRequest,
) -> Result<AdminEnableUserResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    user::admin_enable(cx.engine(), &pool, &request.username).await?;
    Ok(AdminEnableUserResponse::default())
}
