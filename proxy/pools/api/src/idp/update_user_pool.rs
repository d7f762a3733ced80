use engine::pool;
use wire::idp::{UpdateUserPoolRequest, UpdateUserPoolResponse};

use super::settings;
use crate::{Admin, Result};

/// `UpdateUserPool`: replaces the settings; what is omitted goes back to its default.
pub(super) async fn update_user_pool(
    cx: Admin<'_>,
    request: UpdateUserPoolRequest,
) -> Result<UpdateUserPoolResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let document = settings::of_request(&request, &["UserPoolId", "PoolName"])?;
    pool::update(cx.engine(), pool.id(), request.pool_name, document).await?;
    Ok(UpdateUserPoolResponse {})
}
