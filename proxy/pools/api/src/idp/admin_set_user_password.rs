use engine::user;
use wire::idp::{AdminSetUserPasswordRequest, AdminSetUserPasswordResponse};

use crate::{Admin, Result};

/// `AdminSetUserPassword`: gives a user a permanent or temporary password.
pub(super) async fn admin_set_user_password(
    cx: Admin<'_>,
    request: AdminSetUserPasswordRequest,
) -> Result<AdminSetUserPasswordResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let permanent = request.permanent == Some(true);
    user::admin_set_password(
        cx.engine(),
        &pool,
        &request.username,
        &request.password,
        permanent,
    )
    .await?;
    Ok(AdminSetUserPasswordResponse::default())
}
