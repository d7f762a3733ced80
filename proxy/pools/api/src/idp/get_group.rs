use engine::group;
use wire::idp::{GetGroupRequest, GetGroupResponse};

use super::shape;
use crate::{Admin, Result};

/// `GetGroup`: one group of a pool.
pub(super) async fn get_group(cx: Admin<'_>, request: GetGroupRequest) -> Result<GetGroupResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let group = group::load(cx.engine(), &pool, &request.group_name).await?;
    Ok(GetGroupResponse {
        group: Some(shape::group(group)),
    })
}
