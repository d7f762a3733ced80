//! Sign-in, refresh and sign-out as an SDK sees them. The rules themselves are tested in the engine.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::api::{SCOPED, request};
use super::{CLIENT, POOL, Reply, TestApi};

const PASSWORD: &str = "Correct-Horse-1";

/// A confirmed user `ada`.
async fn with_ada() -> TestApi {
    let api = TestApi::new().await;
    invite(&api, "ada").await;
    let permanent =
        json!({"UserPoolId": POOL, "Username": "ada", "Password": PASSWORD, "Permanent": true});
    api.admin("AdminSetUserPassword", permanent).await.ok();
    api.engine.advance(Duration::from_millis(1));
    api
}

async fn invite(api: &TestApi, name: &str) {
    let user = json!({
        "UserPoolId": POOL,
        "Username": name,
        "TemporaryPassword": "Temporary-1",
        "MessageAction": "SUPPRESS",
    });
    api.admin("AdminCreateUser", user).await.ok();
}

async fn initiate(api: &TestApi, flow: &str, parameters: Value) -> Reply {
    api.public(
        "InitiateAuth",
        json!({"ClientId": CLIENT, "AuthFlow": flow, "AuthParameters": parameters}),
    )
    .await
}

async fn signed_in(api: &TestApi) -> Value {
    let parameters = json!({"USERNAME": "ada", "PASSWORD": PASSWORD});
    initiate(api, "USER_PASSWORD_AUTH", parameters).await.ok()["AuthenticationResult"].clone()
}

#[tokio::test]
async fn a_sign_in_answers_as_aws() {
    let api = with_ada().await;
    let reply = initiate(
        &api,
        "USER_PASSWORD_AUTH",
        json!({"USERNAME": "ada", "PASSWORD": PASSWORD}),
    )
    .await
    .ok();
    let members: Vec<_> = reply
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(members.len(), 2, "{members:?}");
    assert_eq!(reply["ChallengeParameters"], json!({}));
    let result = &reply["AuthenticationResult"];
    assert_eq!(result["ExpiresIn"], 3600);
    assert_eq!(result["TokenType"], "Bearer");
    for (token, segments) in [("AccessToken", 3), ("IdToken", 3), ("RefreshToken", 5)] {
        assert_eq!(
            result[token].as_str().unwrap().split('.').count(),
            segments,
            "{token}"
        );
    }
    api.public("GetUser", json!({"AccessToken": result["AccessToken"]}))
        .await
        .ok();
}

#[tokio::test]
async fn refusals_have_awss_names() {
    let api = with_ada().await;
    let wrong = initiate(
        &api,
        "USER_PASSWORD_AUTH",
        json!({"USERNAME": "ada", "PASSWORD": "Wrong-1"}),
    )
    .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        (wrong.code().as_str(), wrong.message().as_str()),
        ("NotAuthorizedException", "Incorrect username or password.")
    );
    let absent = initiate(
        &api,
        "USER_PASSWORD_AUTH",
        json!({"USERNAME": "eve", "PASSWORD": "Wrong-1"}),
    )
    .await;
    // A declared client hides who exists, unless its declaration says otherwise.
    assert_eq!(
        (absent.code(), absent.message()),
        (wrong.code(), wrong.message())
    );
    let missing = initiate(&api, "USER_PASSWORD_AUTH", json!({"USERNAME": "ada"})).await;
    assert_eq!(missing.code(), "InvalidParameterException");
    let flow = initiate(&api, "CUSTOM_AUTH", json!({"USERNAME": "ada"})).await;
    assert_eq!(flow.message(), "CUSTOM_AUTH is not enabled for the client.");
    let none = api
        .public(
            "InitiateAuth",
            json!({"ClientId": "absent", "AuthFlow": "USER_SRP_AUTH"}),
        )
        .await;
    assert_eq!(none.code(), "ResourceNotFoundException");
    assert_eq!(none.message(), "User pool client absent does not exist.");
}

#[tokio::test]
async fn a_flow_that_is_not_built_says_so() {
    let api = with_ada().await;
    let pool = engine::pool::load(&api.engine, POOL).await.unwrap();
    let settings = json!({"ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH"]});
    let client = engine::client::create(
        &api.engine,
        &pool,
        "custom",
        settings.as_object().unwrap().clone(),
    )
    .await;
    let id = client.unwrap().id().to_owned();
    let call =
        json!({"ClientId": id, "AuthFlow": "CUSTOM_AUTH", "AuthParameters": {"USERNAME": "ada"}});
    let reply = api.public("InitiateAuth", call).await;
    assert_eq!(reply.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(reply.message(), "CUSTOM_AUTH is not implemented");
}

#[tokio::test]
async fn operators_sign_users_in_and_answer_challenges() {
    let api = with_ada().await;
    let call = |client: &str| {
        json!({
            "UserPoolId": POOL,
            "ClientId": client,
            "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": {"USERNAME": "bob", "PASSWORD": "Temporary-1"},
        })
    };
    let refused = api.admin("AdminInitiateAuth", call(CLIENT)).await;
    assert_eq!(refused.message(), "Auth flow not enabled for this client");
    let unsigned = api.public("AdminInitiateAuth", call(CLIENT)).await;
    assert_eq!(unsigned.code(), "MissingAuthenticationTokenException");
    let target = "AWSCognitoIdentityProviderService.AdminInitiateAuth";
    let other = api.sign(
        request(target, &call(CLIENT).to_string()),
        SCOPED,
        "cognito-idp",
    );
    assert_eq!(api.send(other).await.code(), "AccessDeniedException");

    let pool = engine::pool::load(&api.engine, POOL).await.unwrap();
    let settings = json!({"ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]});
    let client = engine::client::create(
        &api.engine,
        &pool,
        "server",
        settings.as_object().unwrap().clone(),
    )
    .await;
    let id = client.unwrap().id().to_owned();
    invite(&api, "bob").await;
    let asked = api.admin("AdminInitiateAuth", call(&id)).await.ok();
    assert_eq!(asked["ChallengeName"], "NEW_PASSWORD_REQUIRED");
    assert_eq!(asked["ChallengeParameters"]["USER_ID_FOR_SRP"], "bob");
    assert!(asked.get("AuthenticationResult").is_none());

    let answer = |session: &Value| {
        json!({
            "UserPoolId": POOL,
            "ClientId": id,
            "ChallengeName": "NEW_PASSWORD_REQUIRED",
            "Session": session,
            "ChallengeResponses": {"USERNAME": "bob", "NEW_PASSWORD": PASSWORD},
        })
    };
    let invalid = api
        .admin(
            "AdminRespondToAuthChallenge",
            answer(&json!("x".repeat(40))),
        )
        .await;
    assert_eq!(invalid.message(), "Invalid session for the user.");
    let reply = api
        .admin("AdminRespondToAuthChallenge", answer(&asked["Session"]))
        .await
        .ok();
    assert!(reply["AuthenticationResult"]["AccessToken"].is_string());
}

#[tokio::test]
async fn challenges_are_answered_in_public_too() {
    let api = with_ada().await;
    invite(&api, "bob").await;
    let parameters = json!({"USERNAME": "bob", "PASSWORD": "Temporary-1"});
    let asked = initiate(&api, "USER_PASSWORD_AUTH", parameters).await.ok();
    let answer = json!({
        "ClientId": CLIENT,
        "ChallengeName": asked["ChallengeName"],
        "Session": asked["Session"],
        "ChallengeResponses": {"USERNAME": "bob", "NEW_PASSWORD": PASSWORD},
    });
    let reply = api
        .public("RespondToAuthChallenge", answer.clone())
        .await
        .ok();
    assert!(reply["AuthenticationResult"]["RefreshToken"].is_string());
    assert_eq!(
        api.public("RespondToAuthChallenge", answer).await.code(),
        "NotAuthorizedException"
    );
}

#[tokio::test]
async fn srp_begins_with_the_parameters_clients_read() {
    let api = with_ada().await;
    let asked = initiate(
        &api,
        "USER_SRP_AUTH",
        json!({"USERNAME": "ada", "SRP_A": "abc123"}),
    )
    .await
    .ok();
    assert_eq!(asked["ChallengeName"], "PASSWORD_VERIFIER");
    let mut names: Vec<_> = asked["ChallengeParameters"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "SALT",
            "SECRET_BLOCK",
            "SRP_B",
            "USERNAME",
            "USER_ID_FOR_SRP"
        ]
    );
}

#[tokio::test]
async fn refresh_tokens_are_exchanged_and_revoked() {
    let api = with_ada().await;
    let token = signed_in(&api).await["RefreshToken"].clone();
    let exchange = json!({"ClientId": CLIENT, "RefreshToken": token});
    let result = api
        .public("GetTokensFromRefreshToken", exchange.clone())
        .await
        .ok();
    let result = &result["AuthenticationResult"];
    assert!(result["AccessToken"].is_string() && result.get("RefreshToken").is_none());
    let flow = initiate(&api, "REFRESH_TOKEN_AUTH", json!({"REFRESH_TOKEN": token}))
        .await
        .ok();
    assert!(flow["AuthenticationResult"].get("RefreshToken").is_none());

    let access = api
        .public(
            "RevokeToken",
            json!({"ClientId": CLIENT, "Token": result["AccessToken"]}),
        )
        .await;
    assert_eq!(access.code(), "UnsupportedTokenTypeException");
    let secret = json!({"ClientId": CLIENT, "Token": token, "ClientSecret": "x".repeat(24)});
    assert_eq!(
        api.public("RevokeToken", secret).await.code(),
        "UnauthorizedException"
    );
    for _ in 0..2 {
        let reply = api
            .public("RevokeToken", json!({"ClientId": CLIENT, "Token": token}))
            .await;
        assert_eq!(reply.ok(), json!({}));
    }
    let refused = api.public("GetTokensFromRefreshToken", exchange).await;
    assert_eq!(
        (refused.code().as_str(), refused.message().as_str()),
        ("NotAuthorizedException", "Refresh Token has been revoked")
    );
    let user = api
        .public("GetUser", json!({"AccessToken": result["AccessToken"]}))
        .await;
    assert_eq!(user.message(), "Access Token has been revoked");
}

#[tokio::test]
async fn signing_out_ends_every_sign_in() {
    let api = with_ada().await;
    let (first, second) = (signed_in(&api).await, signed_in(&api).await);
    let out = json!({"AccessToken": first["AccessToken"]});
    assert_eq!(
        api.public("GlobalSignOut", out.clone()).await.ok(),
        json!({})
    );
    let again = api.public("GlobalSignOut", out).await;
    assert_eq!(again.message(), "Access Token has been revoked");
    let refused = initiate(
        &api,
        "REFRESH_TOKEN_AUTH",
        json!({"REFRESH_TOKEN": second["RefreshToken"]}),
    )
    .await;
    assert_eq!(refused.message(), "Refresh Token has been revoked");

    api.engine.advance(Duration::from_millis(1));
    let third = signed_in(&api).await;
    let ada = json!({"UserPoolId": POOL, "Username": "ada"});
    assert_eq!(
        api.admin("AdminUserGlobalSignOut", ada).await.ok(),
        json!({})
    );
    let user = api
        .public("GetUser", json!({"AccessToken": third["AccessToken"]}))
        .await;
    assert_eq!(user.message(), "Access Token has been revoked");
    let nobody = json!({"UserPoolId": POOL, "Username": "nobody"});
    assert_eq!(
        api.admin("AdminUserGlobalSignOut", nobody).await.code(),
        "UserNotFoundException"
    );
    assert_eq!(
        api.public("GlobalSignOut", json!({"AccessToken": "a.b.c"}))
            .await
            .code(),
        "NotAuthorizedException"
    );
}
