use engine::client;
use wire::idp::{UpdateUserPoolClientRequest, UpdateUserPoolClientResponse};

use super::settings;
use crate::{Admin, Result};

/// `UpdateUserPoolClient`: replaces the settings; what is omitted goes back to its default.
pub(super) async fn update_user_pool_client(
    cx: Admin<'_>,
    request: UpdateUserPoolClientRequest,
) -> Result<UpdateUserPoolClientResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let document = settings::of_request(&request, &["UserPoolId", "ClientId", "ClientName"])?;
    let (id, name) = (&request.client_id, request.client_name);
    let client = client::update(cx.engine(), &pool, id, name, document).await?;
    Ok(UpdateUserPoolClientResponse {
        user_pool_client: Some(settings::client(&client)?),
    })
}
