use wire::idp::{DescribeUserPoolClientRequest, DescribeUserPoolClientResponse};

use super::settings;
use crate::{Admin, Result};

/// `DescribeUserPoolClient`: an app client's settings to the letter.
pub(super) async fn describe_user_pool_client(
    cx: Admin<'_>,
    request: DescribeUserPoolClientRequest,
) -> Result<DescribeUserPoolClientResponse> {
    let (_, client) = cx.client(&request.user_pool_id, &request.client_id).await?;
    Ok(DescribeUserPoolClientResponse {
        user_pool_client: Some(settings::client(&client)?),
    })
}
