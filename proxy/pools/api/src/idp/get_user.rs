use wire::idp::{GetUserRequest, GetUserResponse};

use super::shape;
use crate::{Bearer, Result};

/// `GetUser`: the caller, with the attributes that the client may read.
pub(super) async fn get_user(cx: Bearer<'_>, _request: GetUserRequest) -> Result<GetUserResponse> {
    let token = cx.token();
    Ok(GetUserResponse {
        username: Some(token.user.username.clone()),
        user_attributes: Some(shape::readable(&token.user, &token.client)),
        ..GetUserResponse::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{POOL, TestApi, signed_in};

    #[tokio::test]
    async fn a_client_sees_what_it_may_read() {
        let api = TestApi::new().await;
        let all = json!({"UserPoolId": POOL, "ClientName": "all", "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"]});
        let mut some = all.clone();
        some["ReadAttributes"] = json!(["email"]);
        for (client, expected) in [
            (all, vec!["sub", "email", "name"]),
            (some, vec!["sub", "email"]),
        ] {
            let client =
                api.admin("CreateUserPoolClient", client).await.ok()["UserPoolClient"]["ClientId"]
                    .clone();
            let token = signed_in(&api, client.as_str().unwrap()).await;
            let user = api
                .public("GetUser", json!({"AccessToken": token}))
                .await
                .ok();
            assert_eq!(user["Username"], "ada");
            let shown = user["UserAttributes"].as_array().unwrap();
            let names: Vec<_> = shown
                .iter()
                .map(|attribute| attribute["Name"].as_str().unwrap())
                .collect();
            assert_eq!(names, expected);
        }
        assert_eq!(
            api.public("GetUser", json!({"AccessToken": "x.y.z"}))
                .await
                .code(),
            "NotAuthorizedException"
        );
    }
}
