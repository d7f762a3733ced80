use engine::auth::refresh;
use engine::user;
use wire::idp::{AdminUserGlobalSignOutRequest, AdminUserGlobalSignOutResponse};

use crate::{Admin, Result};

/// `AdminUserGlobalSignOut`: ends all sign-ins of a user.
pub(super) async fn admin_user_global_sign_out(
    cx: Admin<'_>,
    req: AdminUserGlobalSignOutRequest,
) -> Result<AdminUserGlobalSignOutResponse> {
    let pool = cx.pool(&req.user_pool_id).await?;
    let user = user::load(cx.engine(), &pool, &req.username)
        .await?
        .ok_or_else(engine::Error::user_not_found)?;
    refresh::sign_out(cx.engine(), pool.id(), &user.sub).await?;
    Ok(AdminUserGlobalSignOutResponse {})
}
