use wire::idp::{DescribeUserPoolRequest, DescribeUserPoolResponse};

use super::settings;
use crate::{Admin, Result};

/// `DescribeUserPool`: a pool's settings to the letter.
pub(super) async fn describe_user_pool(
    cx: Admin<'_>,
    request: DescribeUserPoolRequest,
) -> Result<DescribeUserPoolResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    Ok(DescribeUserPoolResponse {
        user_pool: Some(settings::pool(cx.engine(), &pool).await?),
    })
}
