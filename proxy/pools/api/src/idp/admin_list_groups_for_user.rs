use engine::group;
use wire::idp::{AdminListGroupsForUserRequest, AdminListGroupsForUserResponse};

use super::shape;
use crate::{Admin, Result};

/// `AdminListGroupsForUser`: the groups of a user, page by page.
pub(super) async fn admin_list_groups_for_user(
    cx: Admin<'_>,
    request: AdminListGroupsForUserRequest,
) -> Result<AdminListGroupsForUserResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let (limit, token) = (shape::limit(request.limit), request.next_token.as_deref());
    let page = group::list_of_user(cx.engine(), &pool, &request.username, limit, token).await?;
    let groups = page.items.into_iter().map(shape::group).collect();
    Ok(AdminListGroupsForUserResponse {
        groups: Some(groups),
        next_token: page.next,
    })
}
