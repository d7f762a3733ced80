use engine::pool::{self, Summary};
use wire::EpochSeconds;
use wire::idp::{
    LambdaConfigType, ListUserPoolsRequest, ListUserPoolsResponse, UserPoolDescriptionType,
};

use super::shape;
use crate::{Admin, Error, Result};

/// `ListUserPools`: the pools that the operator's rights reach, page by page. A page may be empty and still go on.
pub(super) async fn list_user_pools(
    cx: Admin<'_>,
    request: ListUserPoolsRequest,
) -> Result<ListUserPoolsResponse> {
    let limit = shape::limit(Some(request.max_results));
    let page = pool::list(cx.engine(), limit, request.next_token.as_deref()).await?;
    let seen = page.items.into_iter().filter(|pool| cx.sees(&pool.id));
    let pools = seen.map(description).collect::<Result<_>>()?;
    Ok(ListUserPoolsResponse {
        user_pools: Some(pools),
        next_token: page.next,
    })
}

fn description(pool: Summary) -> Result<UserPoolDescriptionType> {
    let triggers: LambdaConfigType =
        serde_json::from_value(pool.triggers).map_err(Error::internal)?;
    Ok(UserPoolDescriptionType {
        id: Some(pool.id),
        name: Some(pool.name),
        lambda_config: Some(triggers),
        creation_date: Some(EpochSeconds(pool.created_ms)),
        last_modified_date: Some(EpochSeconds(pool.modified_ms)),
        ..UserPoolDescriptionType::default()
    })
}
