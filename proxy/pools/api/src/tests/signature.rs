//! Who may call: signatures, scopes and access tokens.

use std::time::Duration;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::api::{ALL, SCOPED, authorized, request};
use super::{CLIENT, POOL, Reply, TestApi};

const GET_USER: &str = "AWSCognitoIdentityProviderService.AdminGetUser";

fn body() -> String {
    json!({"UserPoolId": POOL, "Username": "nobody"}).to_string()
}

#[track_caller]
fn refused(reply: &Reply, code: &str, message: &str) {
    assert_eq!(
        (reply.code().as_str(), reply.message().as_str()),
        (code, message)
    );
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_right_signature_reaches_the_operation() {
    let api = TestApi::new().await;
    let reply = api
        .admin(
            "AdminGetUser",
            json!({"UserPoolId": POOL, "Username": "nobody"}),
        )
        .await;
    refused(&reply, "UserNotFoundException", "User does not exist.");
}

#[tokio::test]
async fn an_admin_call_without_a_signature_is_refused() {
    let api = TestApi::new().await;
    let reply = api.send(request(GET_USER, &body()).map(Body::from)).await;
    refused(
        &reply,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    );
}

#[tokio::test]
async fn no_admin_operation_runs_without_a_signature() {
    let api = TestApi::new().await;
    for operation in wire::idp::Operation::ALL
        .iter()
        .filter(|operation| operation.spec().signed)
    {
        let reply = api.public(operation.name(), json!({})).await;
        assert_eq!(
            reply.code(),
            "MissingAuthenticationTokenException",
            "{}",
            operation.name()
        );
    }
}

#[tokio::test]
async fn a_bearer_token_is_no_signature() {
    let api = TestApi::new().await;
    let reply = api
        .send(authorized(request(GET_USER, &body()), "Bearer abc"))
        .await;
    assert_eq!(reply.code(), "IncompleteSignatureException");
    assert!(
        reply
            .message()
            .starts_with("Authorization header requires 'Credential' parameter."),
        "{}",
        reply.text
    );
    assert!(!reply.text.contains("abc"));
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let api = TestApi::new().await;
    let reply = api
        .send(api.sign(request(GET_USER, &body()), "AKIDNOBODY", "cognito-idp"))
        .await;
    refused(
        &reply,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    );
}

#[tokio::test]
async fn a_changed_request_does_not_fit_its_signature() {
    let api = TestApi::new().await;
    let expected = "The request signature we calculated does not match the signature you provided. Check your AWS \
                    Secret Access Key and signing method. Consult the service documentation for details.";
    let (parts, _) = api
        .sign(request(GET_USER, &body()), ALL, "cognito-idp")
        .into_parts();
    let other = json!({"UserPoolId": POOL, "Username": "somebody"}).to_string();
    let reply = api
        .send(http::Request::from_parts(parts, Body::from(other)))
        .await;
    refused(&reply, "InvalidSignatureException", expected);
    let (mut parts, body) = api
        .sign(request(GET_USER, &body()), ALL, "cognito-idp")
        .into_parts();
    let delete = HeaderValue::from_static("AWSCognitoIdentityProviderService.AdminDeleteUser");
    parts.headers.insert("x-amz-target", delete);
    let reply = api.send(http::Request::from_parts(parts, body)).await;
    refused(&reply, "InvalidSignatureException", expected);
}

#[tokio::test]
async fn a_signature_is_for_one_service_and_five_minutes() {
    let api = TestApi::new().await;
    let reply = api
        .send(api.sign(request(GET_USER, &body()), ALL, "sts"))
        .await;
    refused(
        &reply,
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'cognito-idp'.",
    );
    let signed = api.sign(request(GET_USER, &body()), ALL, "cognito-idp");
    api.engine.advance(Duration::from_secs(301));
    let reply = api.send(signed).await;
    assert_eq!(reply.code(), "InvalidSignatureException");
    assert_eq!(
        reply.message(),
        "Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z (20260101T000501Z - 5 min.)"
    );
}

#[tokio::test]
async fn rights_end_at_the_operators_pools() {
    let api = TestApi::new().await;
    let target = |operation: &str| format!("AWSCognitoIdentityProviderService.{operation}");
    let reply = api
        .send(api.sign(request(GET_USER, &body()), SCOPED, "cognito-idp"))
        .await;
    refused(
        &reply,
        "AccessDeniedException",
        "User: arn:aws:iam::000000000000:user/AKIDSCOPED is not authorized to perform: cognito-idp:AdminGetUser on \
         resource: arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_Test00001",
    );
    // A pool that is not there is refused alike: who may not touch it does not learn of it.
    let absent = json!({"UserPoolId": "us-east-1_Absent001", "Username": "nobody"}).to_string();
    let reply = api
        .send(api.sign(request(GET_USER, &absent), SCOPED, "cognito-idp"))
        .await;
    assert_eq!(reply.code(), "AccessDeniedException");
    let create = request(
        &target("CreateUserPool"),
        &json!({"PoolName": "mine"}).to_string(),
    );
    let reply = api.send(api.sign(create, SCOPED, "cognito-idp")).await;
    assert_eq!(reply.code(), "AccessDeniedException");
    let own = json!({"UserPoolId": "us-east-1_Other0001", "Username": "nobody"}).to_string();
    let reply = api
        .send(api.sign(request(GET_USER, &own), SCOPED, "cognito-idp"))
        .await;
    refused(
        &reply,
        "ResourceNotFoundException",
        "User pool us-east-1_Other0001 does not exist.",
    );
}

#[tokio::test]
async fn operations_without_a_signature_ignore_one() {
    let api = TestApi::new().await;
    let body = json!({
        "ClientId": CLIENT, "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": {"USERNAME": "nobody", "PASSWORD": "Wrong-Horse-9"}
    });
    let target = "AWSCognitoIdentityProviderService.InitiateAuth";
    for header in ["Bearer abc", "AWS4-HMAC-SHA256 nonsense", ""] {
        let reply = api
            .send(authorized(request(target, &body.to_string()), header))
            .await;
        assert!(
            ["NotAuthorizedException", "UserNotFoundException"].contains(&reply.code().as_str()),
            "{header}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn a_made_up_access_token_is_refused() {
    let api = TestApi::new().await;
    for token in ["abc", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let reply = api.public("GetUser", json!({ "AccessToken": token })).await;
        refused(&reply, "NotAuthorizedException", "Invalid Access Token");
    }
}

#[tokio::test]
async fn two_authorizations_are_none() {
    let api = TestApi::new().await;
    let mut signed = api.sign(request(GET_USER, &body()), ALL, "cognito-idp");
    let again = signed.headers().get(AUTHORIZATION).unwrap().clone();
    signed.headers_mut().append(AUTHORIZATION, again);
    assert_eq!(
        api.send(signed).await.code(),
        "IncompleteSignatureException"
    );
}

#[tokio::test]
async fn operators_of_all_pools_reload() {
    let api = TestApi::new().await;
    let ask = || request("PortcullisOperator.Reload", "{}");
    let answer = api.send(api.sign(ask(), ALL, "cognito-idp")).await.ok();
    assert_eq!(
        answer,
        json!({"Generation": 2, "AwaitingRestart": ["workers"]})
    );
    let reply = api.send(api.sign(ask(), SCOPED, "cognito-idp")).await;
    assert_eq!(reply.code(), "AccessDeniedException");
    let reply = api.send(ask().map(Body::from)).await;
    assert_eq!(reply.code(), "MissingAuthenticationTokenException");
    api.break_settings();
    let reply = api.send(api.sign(ask(), ALL, "cognito-idp")).await;
    refused(&reply, "ReloadFailedException", "workers: one\nroutes: two");
}

#[tokio::test]
async fn operators_rotate_signing_keys() {
    let api = TestApi::new().await;
    let rotate = |pool: &str| {
        let body = json!({ "UserPoolId": pool }).to_string();
        request("PortcullisOperator.RotateSigningKeys", &body)
    };
    let kids = api
        .send(api.sign(rotate(POOL), ALL, "cognito-idp"))
        .await
        .ok();
    assert_eq!(kids.get("KeyIds").unwrap().as_array().unwrap().len(), 2);
    let reply = api
        .send(api.sign(rotate(POOL), SCOPED, "cognito-idp"))
        .await;
    assert_eq!(reply.code(), "AccessDeniedException");
    let reply = api.send(rotate(POOL).map(Body::from)).await;
    assert_eq!(reply.code(), "MissingAuthenticationTokenException");
}
