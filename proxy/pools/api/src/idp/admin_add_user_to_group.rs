use engine::group;
use wire::idp::AdminAddUserToGroupRequest;

use crate::{Admin, Result};

/// `AdminAddUserToGroup`: puts a user into a group.
pub(super) async fn admin_add_user_to_group(
    cx: Admin<'_>,
    request: AdminAddUserToGroupRequest,
) -> Result<()> {
    let pool = cx.pool(&request.user_pool_id).await?;
    Ok(group::add_user(cx.engine(), &pool, &request.group_name, &request.username).await?)
}
