use engine::user;
use wire::idp::{AdminDisableUserRequest, AdminDisableUserResponse};

use crate::{Admin, Result};

/// `AdminDisableUser`: keeps a user from signing in and ends what is signed in.
pub(super) async fn admin_disable_user(
    cx: Admin<'_>,
    request: AdminDisableUserRequest,
) -> Result<AdminDisableUserResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    user::admin_disable(cx.engine(), &pool, &request.username).await?;
    Ok(AdminDisableUserResponse::default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{CLIENT, POOL, TestApi, signed_in};

    #[tokio::test]
    async fn a_disabled_user_is_out_until_enabled() {
        let api = TestApi::new().await;
        let token = signed_in(&api, CLIENT).await;
        let user = json!({"UserPoolId": POOL, "Username": "ada"});
        assert_eq!(
            api.admin("AdminDisableUser", user.clone()).await.ok(),
            json!({})
        );
        assert_eq!(
            api.public("GetUser", json!({"AccessToken": token}))
                .await
                .code(),
            "NotAuthorizedException"
        );
        assert_eq!(
            api.admin("AdminGetUser", user.clone()).await.ok()["Enabled"],
            false
        );
        assert_eq!(
            api.admin("AdminEnableUser", user.clone()).await.ok(),
            json!({})
        );
        assert_eq!(api.admin("AdminGetUser", user).await.ok()["Enabled"], true);
    }
}
