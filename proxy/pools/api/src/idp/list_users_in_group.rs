use engine::{group, user};
use wire::idp::{ListUsersInGroupRequest, ListUsersInGroupResponse};

use super::shape;
use crate::{Admin, Result};

/// `ListUsersInGroup`: the users of a group, page by page.
pub(super) async fn list_users_in_group(
    cx: Admin<'_>,
    request: ListUsersInGroupRequest,
) -> Result<ListUsersInGroupResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    group::load(cx.engine(), &pool, &request.group_name).await?;
    let (limit, token) = (shape::limit(request.limit), request.next_token.as_deref());
    let page = user::members(cx.engine(), &pool, &request.group_name, limit, token).await?;
    let users = page.items.into_iter().map(shape::user).collect();
    Ok(ListUsersInGroupResponse {
        users: Some(users),
        next_token: page.next,
    })
}
