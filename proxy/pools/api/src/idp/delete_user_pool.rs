use engine::pool;
use wire::idp::DeleteUserPoolRequest;

use crate::{Admin, Result};

/// `DeleteUserPool`: deletes a pool with all that is in it, unless it is protected.
pub(super) async fn delete_user_pool(cx: Admin<'_>, request: DeleteUserPoolRequest) -> Result<()> {
    let pool = cx.pool(&request.user_pool_id).await?;
    pool::delete(cx.engine(), pool.id()).await?;
    Ok(())
}
