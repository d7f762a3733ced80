use engine::user;
use wire::idp::AdminDeleteUserRequest;

use crate::{Admin, Result};

/// `AdminDeleteUser`: deletes a user and ends what is signed in.
pub(super) async fn admin_delete_user(
    cx: Admin<'_>,
    request: AdminDeleteUserRequest,
) -> Result<()> {
    let pool = cx.pool(&request.user_pool_id).await?;
    Ok(user::admin_delete(cx.engine(), &pool, &request.username).await?)
}
