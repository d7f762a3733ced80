use engine::pool;
use wire::idp::{CreateUserPoolRequest, CreateUserPoolResponse};

use super::settings;
use crate::{Admin, Result};

/// `CreateUserPool`: a pool with its signing keys. It belongs to no pool yet, so the operator's rights must reach all.
pub(super) async fn create_user_pool(
    cx: Admin<'_>,
    request: CreateUserPoolRequest,
) -> Result<CreateUserPoolResponse> {
    cx.allow_all()?;
    let document = settings::of_request(&request, &["PoolName"])?;
    let pool = pool::create(cx.engine(), &request.pool_name, document).await?;
    Ok(CreateUserPoolResponse {
        user_pool: Some(settings::pool(cx.engine(), &pool).await?),
    })
}
