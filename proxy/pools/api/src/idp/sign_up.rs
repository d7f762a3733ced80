use engine::user;
use wire::idp::{SignUpRequest, SignUpResponse};

use super::shape;
use crate::{Public, Result};

/// `SignUp`: a user makes an account, and is sent the code that confirms it.
pub(super) async fn sign_up(cx: Public<'_>, request: SignUpRequest) -> Result<SignUpResponse> {
    let (pool, client) = cx.client(&request.client_id).await?;
    client.check_secret_hash(&request.username, request.secret_hash.as_deref())?;
    // Without another first factor a password is a must; clients match this text.
    let password = request
        .password
        .ok_or_else(|| engine::Error::beyond_limit("password", "not be null"))?;
    let given = shape::given(request.user_attributes);
    let done = user::sign_up(
        cx.engine(),
        &pool,
        &client,
        &request.username,
        &password,
        given,
    )
    .await?;
    Ok(SignUpResponse {
        user_confirmed: Some(false),
        code_delivery_details: done.delivery.map(shape::delivery),
        user_sub: Some(done.sub),
        session: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::{CLIENT, POOL, TestApi};

    #[tokio::test]
    async fn a_user_signs_up() {
        let api = TestApi::new().await;
        let email = json!([{"Name": "email", "Value": "ada@example.com"}]);
        let call = json!({"ClientId": CLIENT, "Username": "ada", "Password": "Passw0rd!", "UserAttributes": email});
        let done = api.public("SignUp", call.clone()).await.ok();
        let user = api
            .admin(
                "AdminGetUser",
                json!({"UserPoolId": POOL, "Username": "ada"}),
            )
            .await
            .ok();
        let sub = &user["UserAttributes"][0]["Value"];
        assert_eq!(done, json!({"UserConfirmed": false, "UserSub": sub}));
        let again = api.public("SignUp", call).await;
        assert_eq!(
            (again.code().as_str(), again.message().as_str()),
            ("UsernameExistsException", "User already exists")
        );
    }

    #[tokio::test]
    async fn a_code_goes_to_an_address_the_pool_verifies() {
        let api = TestApi::new().await;
        let pool = json!({"PoolName": "p", "AutoVerifiedAttributes": ["email"]});
        let pool = api.admin("CreateUserPool", pool).await.ok()["UserPool"]["Id"].clone();
        let client = json!({"UserPoolId": pool, "ClientName": "c"});
        let client =
            api.admin("CreateUserPoolClient", client).await.ok()["UserPoolClient"]["ClientId"]
                .clone();
        let email = json!([{"Name": "email", "Value": "jane@gmail.com"}]);
        let call = json!({"ClientId": client, "Username": "jane", "Password": "Passw0rd!", "UserAttributes": email});
        let details = json!({"Destination": "j***@g***", "DeliveryMedium": "EMAIL", "AttributeName": "email"});
        assert_eq!(
            api.public("SignUp", call).await.ok()["CodeDeliveryDetails"],
            details
        );
        let resend = json!({"ClientId": client, "Username": "jane"});
        let answer = api.public("ResendConfirmationCode", resend).await.ok();
        assert_eq!(answer, json!({"CodeDeliveryDetails": details}));
        let code = api.engine.outbox().unwrap().last().unwrap()["code"].clone();
        let confirm = json!({"ClientId": client, "Username": "jane", "ConfirmationCode": code});
        assert_eq!(api.public("ConfirmSignUp", confirm).await.ok(), json!({}));
    }

    #[tokio::test]
    async fn clients_match_the_text_of_a_missing_password() {
        let api = TestApi::new().await;
        let reply = api
            .public("SignUp", json!({"ClientId": CLIENT, "Username": "ada"}))
            .await;
        assert_eq!(reply.code(), "InvalidParameterException");
        assert!(
            reply.message().contains("'password'")
                && reply.message().ends_with("Member must not be null")
        );
    }

    #[tokio::test]
    async fn a_client_with_a_secret_proves_it() {
        let api = TestApi::new().await;
        let client = json!({"UserPoolId": POOL, "ClientName": "c", "GenerateSecret": true});
        let client =
            api.admin("CreateUserPoolClient", client).await.ok()["UserPoolClient"]["ClientId"]
                .clone();
        for operation in ["SignUp", "ConfirmSignUp", "ResendConfirmationCode"] {
            for hash in [None, Some("AAAA")] {
                let mut call = json!({"ClientId": client, "Username": "ada", "SecretHash": hash});
                let extra = json!({"Password": "Passw0rd!", "ConfirmationCode": "123456"});
                let wanted = ["SignUp", "ConfirmSignUp"]
                    .iter()
                    .position(|name| *name == operation);
                if let Some(name) = wanted.map(|at| ["Password", "ConfirmationCode"][at]) {
                    call[name] = extra[name].clone();
                }
                if hash.is_none() {
                    call.as_object_mut().unwrap().remove("SecretHash");
                }
                assert_eq!(
                    api.public(operation, call).await.code(),
                    "NotAuthorizedException",
                    "{operation} {hash:?}"
                );
            }
        }
    }
}
