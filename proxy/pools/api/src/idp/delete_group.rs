use engine::group;
use wire::idp::DeleteGroupRequest;

use crate::{Admin, Result};

/// `DeleteGroup`: deletes a group; its users stay.
pub(super) async fn delete_group(cx: Admin<'_>, request: DeleteGroupRequest) -> Result<()> {
    let pool = cx.pool(&request.user_pool_id).await?;
    Ok(group::delete(cx.engine(), &pool, &request.group_name).await?)
}
