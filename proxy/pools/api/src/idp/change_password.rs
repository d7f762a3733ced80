use engine::user::{self, ChangePassword};
use wire::idp::{ChangePasswordRequest, ChangePasswordResponse};

use crate::{Bearer, Result};

/// `ChangePassword`: a new password for the old one; all other sign-ins end.
pub(super) async fn change_password(
    cx: Bearer<'_>,
    request: ChangePasswordRequest,
) -> Result<ChangePasswordResponse> {
    let token = cx.token();
    let change = ChangePassword {
        sub: &token.user.sub,
        origin_jti: token.origin_jti.as_deref(),
        previous: request.previous_password.as_deref(),
        proposed: &request.proposed_password,
    };
    user::change_password(cx.engine(), &token.pool, change).await?;
    Ok(ChangePasswordResponse::default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{CLIENT, TestApi, signed_in};

    #[tokio::test]
    async fn the_caller_stays_and_the_others_go() {
        let api = TestApi::new().await;
        let (other, own) = (signed_in(&api, CLIENT).await, signed_in(&api, CLIENT).await);
        let change = |previous: &str| json!({"AccessToken": own, "PreviousPassword": previous, "ProposedPassword": "An0ther!one"});
        let wrong = api.public("ChangePassword", change("Wr0ng!pass")).await;
        assert_eq!(
            (wrong.code().as_str(), wrong.message().as_str()),
            ("NotAuthorizedException", "Incorrect username or password.")
        );
        assert_eq!(
            api.public("ChangePassword", change("Passw0rd!")).await.ok(),
            json!({})
        );
        api.public("GetUser", json!({"AccessToken": own}))
            .await
            .ok();
        let gone = api.public("GetUser", json!({"AccessToken": other})).await;
        assert_eq!(gone.message(), "Access Token has been revoked");
    }
}
