use engine::client::{self, Summary};
use wire::idp::{
    ClientTypeType, ListUserPoolClientsRequest, ListUserPoolClientsResponse,
    UserPoolClientDescription,
};

use super::shape;
use crate::{Admin, Result};

/// `ListUserPoolClients`: the app clients of a pool, page by page.
pub(super) async fn list_user_pool_clients(
    cx: Admin<'_>,
    request: ListUserPoolClientsRequest,
) -> Result<ListUserPoolClientsResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let (limit, token) = (
        shape::limit(request.max_results),
        request.next_token.as_deref(),
    );
    let page = client::list(cx.engine(), &pool, limit, token).await?;
    // No client came by dynamic registration, which is not built.
    let wanted = request
        .client_type
        .is_none_or(|wanted| wanted == ClientTypeType::Regular);
    let clients = page
        .items
        .into_iter()
        .filter(|_| wanted)
        .map(description)
        .collect();
    Ok(ListUserPoolClientsResponse {
        user_pool_clients: Some(clients),
        next_token: page.next,
    })
}

fn description(client: Summary) -> UserPoolClientDescription {
    UserPoolClientDescription {
        client_id: Some(client.id),
        user_pool_id: Some(client.pool_id),
        client_name: Some(client.name),
    }
}
