use engine::user;
use wire::idp::{AdminUpdateUserAttributesRequest, AdminUpdateUserAttributesResponse};

use super::shape;
use crate::{Admin, Result};

/// `AdminUpdateUserAttributes`: writes any attributes of a user.
pub(super) async fn admin_update_user_attributes(
    cx: Admin<'_>,
    request: AdminUpdateUserAttributesRequest,
) -> Result<AdminUpdateUserAttributesResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let given = shape::given(Some(request.user_attributes));
    user::admin_update(cx.engine(), &pool, &request.username, given).await?;
    Ok(AdminUpdateUserAttributesResponse::default())
}
