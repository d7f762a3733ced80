use engine::group;
use wire::idp::AdminRemoveUserFromGroupRequest;

use crate::{Admin, Result};

/// `AdminRemoveUserFromGroup`: takes a user out of a group.
pub(super) async fn admin_remove_user_from_group(
    cx: Admin<'_>,
    request: AdminRemoveUserFromGroupRequest,
) -> Result<()> {
    let pool = cx.pool(&request.user_pool_id).await?;
    Ok(group::remove_user(cx.engine(), &pool, &request.group_name, &request.username).await?)
}
