use engine::group::{self, Settings};
use wire::idp::{UpdateGroupRequest, UpdateGroupResponse};

use super::shape;
use crate::{Admin, Result};

/// `UpdateGroup`: changes what the request names of a group.
pub(super) async fn update_group(
    cx: Admin<'_>,
    request: UpdateGroupRequest,
) -> Result<UpdateGroupResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let settings = Settings {
        description: request.description,
        role_arn: request.role_arn,
        precedence: request.precedence,
    };
    let group = group::update(cx.engine(), &pool, &request.group_name, settings).await?;
    Ok(UpdateGroupResponse {
        group: Some(shape::group(group)),
    })
}
