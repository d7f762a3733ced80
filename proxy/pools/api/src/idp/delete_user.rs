use engine::user;
use wire::idp::DeleteUserRequest;

use crate::{Bearer, Result};

/// `DeleteUser`: deletes the caller.
pub(super) async fn delete_user(cx: Bearer<'_>, _request: DeleteUserRequest) -> Result<()> {
    let token = cx.token();
    Ok(user::delete(cx.engine(), &token.pool, &token.user.sub).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{CLIENT, POOL, TestApi, signed_in};

    #[tokio::test]
    async fn a_user_leaves() {
        let api = TestApi::new().await;
        let token = signed_in(&api, CLIENT).await;
        let reply = api
            .public("DeleteUser", json!({"AccessToken": token}))
            .await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
        let user = json!({"UserPoolId": POOL, "Username": "ada"});
        assert_eq!(
            api.admin("AdminGetUser", user).await.code(),
            "UserNotFoundException"
        );
        let again = api
            .public("DeleteUser", json!({"AccessToken": token}))
            .await;
        assert_eq!(again.code(), "NotAuthorizedException");
    }
}
