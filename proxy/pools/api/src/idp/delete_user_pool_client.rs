use engine::client;
use wire::idp::DeleteUserPoolClientRequest;

use crate::{Admin, Result};

/// `DeleteUserPoolClient`: deletes an app client; its tokens stop counting.
pub(super) async fn delete_user_pool_client(
    cx: Admin<'_>,
    request: DeleteUserPoolClientRequest,
) -> Result<()> {
    let pool = cx.pool(&request.user_pool_id).await?;
    client::delete(cx.engine(), pool.id(), &request.client_id).await?;
    Ok(())
}
