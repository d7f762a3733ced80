use engine::client;
use wire::idp::{CreateUserPoolClientRequest, CreateUserPoolClientResponse};

use super::settings;
use crate::{Admin, Result};

/// `CreateUserPoolClient`: an app client, with a secret where one is asked for.
pub(super) async fn create_user_pool_client(
    cx: Admin<'_>,
    request: CreateUserPoolClientRequest,
) -> Result<CreateUserPoolClientResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let document = settings::of_request(&request, &["UserPoolId", "ClientName"])?;
    let client = client::create(cx.engine(), &pool, &request.client_name, document).await?;
    Ok(CreateUserPoolClientResponse {
        user_pool_client: Some(settings::client(&client)?),
    })
}
