use engine::user;
use wire::EpochSeconds;
use wire::idp::{AdminGetUserRequest, AdminGetUserResponse};

use super::shape;
use crate::{Admin, Result};

/// `AdminGetUser`: a user with all attributes.
pub(super) async fn admin_get_user(
    cx: Admin<'_>,
    request: AdminGetUserRequest,
) -> Result<AdminGetUserResponse> {
    let pool = cx.pool(&request.user_pool_id).await?;
    let user = user::load(cx.engine(), &pool, &request.username).await?;
    let user = user.ok_or_else(engine::Error::user_not_found)?;
    Ok(AdminGetUserResponse {
        user_attributes: Some(shape::attributes(&user)),
        user_create_date: Some(EpochSeconds(user.created_ms)),
        user_last_modified_date: Some(EpochSeconds(user.modified_ms)),
        enabled: Some(user.enabled),
        user_status: Some(shape::status(user.status)),
        username: Some(user.username),
        ..AdminGetUserResponse::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{POOL, TestApi};

    #[tokio::test]
    async fn a_user_is_shown_whole() {
        let api = TestApi::new().await;
        let name = json!([{"Name": "name", "Value": "Ada"}]);
        let call = json!({"UserPoolId": POOL, "Username": "ada", "UserAttributes": name});
        let made = api.admin("AdminCreateUser", call).await.ok()["User"].clone();
        let shown = api
            .admin(
                "AdminGetUser",
                json!({"UserPoolId": POOL, "Username": "ada"}),
            )
            .await
            .ok();
        assert_eq!(shown["UserAttributes"], made["Attributes"]);
        for member in [
            "Username",
            "UserStatus",
            "Enabled",
            "UserCreateDate",
            "UserLastModifiedDate",
        ] {
            assert_eq!(shown[member], made[member], "{member}");
        }
        let sub = shown["UserAttributes"][0]["Value"].clone();
        let by_sub = api
            .admin("AdminGetUser", json!({"UserPoolId": POOL, "Username": sub}))
            .await
            .ok();
        assert_eq!(by_sub, shown);
    }

    #[tokio::test]
    async fn who_is_not_there_is_not_found() {
        let api = TestApi::new().await;
        let reply = api
            .admin(
                "AdminGetUser",
                json!({"UserPoolId": POOL, "Username": "nobody"}),
            )
            .await;
        assert_eq!(
            (reply.code().as_str(), reply.message().as_str()),
            ("UserNotFoundException", "User does not exist.")
        );
        let pool = json!({"UserPoolId": "us-east-1_None00001", "Username": "ada"});
        assert_eq!(
            api.admin("AdminGetUser", pool).await.code(),
            "ResourceNotFoundException"
        );
        let unsigned = api
            .public(
                "AdminGetUser",
                json!({"UserPoolId": POOL, "Username": "ada"}),
            )
            .await;
        assert_ne!(unsigned.status, 200);
    }
}
