use engine::group;
use wire::idp::{ListGroupsRequest, ListGroupsResponse};

use super::shape;
use crate::{Admin, Result};

/// `ListGroups`: the groups of a pool, page by page.
pub(super) async fn list_groups(
    cx: Admin<'_>,
    request: ListGroupsRequest,
) -> Result<ListGroupsResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let (limit, token) = (shape::limit(request.limit), request.next_token.as_deref());
    let page = group::list(cx.engine(), &pool, limit, token).await?;
    let groups = page.items.into_iter().map(shape::group).collect();
    Ok(ListGroupsResponse {
        groups: Some(groups),
        next_token: page.next,
    })
}
