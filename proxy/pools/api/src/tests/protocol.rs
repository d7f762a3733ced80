//! What every call has in common, whatever it asks for: targets, bodies, errors, headers.

use std::time::SystemTime;

use axum::body::{Body, Bytes, to_bytes};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::api::{ALL, request};
use super::{CLIENT, POOL, TestApi};
use crate::respond::{Answer, respond};
use crate::{Error, RequestId};

const PREFIX: &str = "AWSCognitoIdentityProviderService";

fn sign_up(body: &str) -> Request<Body> {
    request(&format!("{PREFIX}.SignUp"), body).map(Body::from)
}

#[tokio::test]
async fn browsers_may_call() {
    let api = TestApi::new().await;
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/")
        .header("origin", "https://app.example.com")
        .header(
            "access-control-request-headers",
            "content-type,x-amz-target",
        )
        .body(Body::empty())
        .unwrap();
    let reply = api.send(preflight).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(
        reply.header("access-control-allow-headers"),
        "content-type,x-amz-target"
    );
    assert!(
        reply
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(api.counted().is_empty());
}

#[tokio::test]
async fn every_answer_has_its_id_and_may_be_read() {
    let api = TestApi::new().await;
    let mut call = sign_up("{}");
    call.extensions_mut().insert(RequestId("r-7".into()));
    let reply = api.send(call).await;
    assert_eq!(reply.header("x-amzn-requestid"), "r-7");
    assert_eq!(reply.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(
        reply.header("access-control-expose-headers"),
        "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"
    );
    assert_eq!(reply.header("date"), "Thu, 01 Jan 2026 00:00:00 GMT");
    let drawn = api.send(sign_up("{}")).await;
    assert_eq!(drawn.header("x-amzn-requestid").len(), 36);
}

#[tokio::test]
async fn missing_members_are_named_as_clients_match_them() {
    let api = TestApi::new().await;
    let body = json!({"UserPoolId": POOL, "Username": "ada"});
    let reply = api.admin("AdminSetUserPassword", body).await;
    assert_eq!(reply.code(), "InvalidParameterException");
    let expected = "1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null";
    assert_eq!(reply.message(), expected);
    assert_eq!(reply.header("x-amzn-errormessage"), expected);
}

#[tokio::test]
async fn limits_that_the_model_does_not_know_are_told_in_its_words() {
    let api = TestApi::new().await;
    let mut call = json!({"UserPoolId": POOL, "Username": "ada"});
    let by_model = api.admin("AdminSetUserPassword", call.clone()).await;
    call = json!({"ClientId": CLIENT, "Username": "ada"});
    assert_eq!(
        api.public("SignUp", call).await.message(),
        by_model.message()
    );

    let long = "a".repeat(513);
    call = json!({"UserPoolId": POOL, "Username": long});
    let by_model = api.admin("AdminGetUser", call).await;
    let parameters = json!({"USERNAME": long, "PASSWORD": "x"});
    call =
        json!({"ClientId": CLIENT, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters});
    assert_eq!(
        api.public("InitiateAuth", call).await.message(),
        by_model.message()
    );
}

#[tokio::test]
async fn over_long_members_are_refused() {
    let api = TestApi::new().await;
    let body =
        json!({"ClientId": CLIENT, "Username": "a".repeat(129), "Password": "Correct-Horse-9"});
    let reply = api.public("SignUp", body).await;
    assert_eq!(reply.code(), "InvalidParameterException");
    assert!(
        reply
            .message()
            .ends_with("Member must have length less than or equal to 128"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn malformed_json_and_wrong_types_are_refused() {
    let api = TestApi::new().await;
    for body in ["", "{", "[]", "nonsense", "{\"ClientId\":}", "\u{0}"] {
        let reply = api.send(sign_up(body)).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, "SerializationException"),
            "{body}"
        );
    }
    let reply = api
        .public("SignUp", json!({"ClientId": 7, "Username": "ada"}))
        .await;
    assert_eq!(reply.code(), "SerializationException");
    assert_eq!(
        reply.message(),
        "NUMBER_VALUE can not be converted to a String"
    );
}

#[tokio::test]
async fn what_is_no_operation_is_told_so() {
    let api = TestApi::new().await;
    for target in [
        "",
        "SignUp",
        ".SignUp",
        "Nobody.SignUp",
        "AWSCognitoIdentityProviderService.",
        "AWSCognitoIdentityProviderService.SignIn",
        "AWSCognitoIdentityProviderService.SignUp.x",
        "awscognitoidentityproviderservice.SignUp",
    ] {
        let reply = api.send(request(target, "{}").map(Body::from)).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, "UnknownOperationException"),
            "{target}"
        );
    }
    let mut none = sign_up("{}");
    none.headers_mut().remove("x-amz-target");
    assert_eq!(api.send(none).await.code(), "UnknownOperationException");
    let mut two = sign_up("{}");
    two.headers_mut().append(
        "x-amz-target",
        HeaderValue::from_static("AWSCognitoIdentityProviderService.GetUser"),
    );
    assert_eq!(api.send(two).await.code(), "UnknownOperationException");
    for (method, path) in [
        (Method::GET, "/"),
        (Method::PUT, "/"),
        (Method::POST, "/other"),
        (Method::GET, "/identitypools/a/b"),
    ] {
        let call = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let reply = api.send(call).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::NOT_FOUND, "UnknownOperationException"),
            "{path}"
        );
    }
    assert!(
        api.counted()
            .iter()
            .all(|counted| *counted == ("Unknown", "UnknownOperationException"))
    );
}

#[tokio::test]
async fn the_content_type_must_be_awss() {
    let api = TestApi::new().await;
    for content_type in [
        "text/plain",
        "application/json",
        "application/x-www-form-urlencoded",
        "",
    ] {
        let mut call = sign_up("{}");
        call.headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let reply = api.send(call).await;
        assert_eq!(reply.code(), "UnknownOperationException", "{content_type}");
    }
    let mut call = sign_up("{}");
    call.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.1; charset=UTF-8"),
    );
    assert_eq!(api.send(call).await.code(), "InvalidParameterException");
}

#[tokio::test]
async fn bodies_end_at_one_mebibyte() {
    let api = TestApi::new().await;
    let padded = |size: usize| format!("{{\"Padding\":\"{}\"}}", "x".repeat(size - 14));
    let reply = api.send(sign_up(&padded(1024 * 1024))).await;
    assert_eq!(reply.code(), "InvalidParameterException");
    let reply = api.send(sign_up(&padded(1024 * 1024 + 1))).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException"
        )
    );
    let mut stated = sign_up("{}");
    stated
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(10_000_000));
    assert_eq!(api.send(stated).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_request_that_breaks_off_does_nothing() {
    let api = TestApi::new().await;
    let start = format!("{{\"ClientId\":\"{CLIENT}\",");
    let pieces = [
        Ok(Bytes::from(start)),
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
    ];
    let (parts, _) = sign_up("").into_parts();
    let body = Body::from_stream(tokio_stream::iter(pieces));
    let reply = api.send(Request::from_parts(parts, body)).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::BAD_REQUEST, "SerializationException")
    );
}

#[tokio::test]
async fn operations_that_are_not_built_name_themselves() {
    let api = TestApi::new().await;
    let reply = api.admin("CreateUserImportJob", json!({})).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::NOT_IMPLEMENTED, "NotImplementedException")
    );
    assert_eq!(reply.message(), "CreateUserImportJob is not implemented");
    let reply = api.public("StartWebAuthnRegistration", json!({})).await;
    assert_eq!(
        reply.message(),
        "StartWebAuthnRegistration is not implemented"
    );
    let target = "VerifiedPermissions.IsAuthorized";
    let reply = api
        .send(api.sign(request(target, "{}"), ALL, "verifiedpermissions"))
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::NOT_IMPLEMENTED, "NotImplementedException")
    );
    assert_eq!(reply.header("content-type"), "application/x-amz-json-1.0");
    let sync = Request::builder()
        .uri("/identitypools")
        .header("host", "a")
        .body(String::new())
        .unwrap();
    let reply = api.send(api.sign(sync, ALL, "cognito-sync")).await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (
            StatusCode::NOT_IMPLEMENTED,
            "ListIdentityPoolUsage is not implemented"
        )
    );
    assert_eq!(reply.header("content-type"), "application/json");
}

fn form(body: &str) -> Request<String> {
    Request::builder()
        .method(Method::POST)
        .uri("/")
        .header("host", "sts.example.com")
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .body(body.to_owned())
        .unwrap()
}

#[tokio::test]
async fn the_query_protocol_answers_in_xml() {
    let api = TestApi::new().await;
    let reply = api
        .send(form("Action=AssumeRoleWithWebIdentity&Version=2011-06-15").map(Body::from))
        .await;
    assert_eq!(reply.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(reply.header("content-type"), "text/xml");
    assert!(reply.text.contains(
        "<Code>NotImplemented</Code><Message>AssumeRoleWithWebIdentity is not implemented</Message>"
    ));
    let reply = api
        .send(form("Action=GetCallerIdentity&Version=2011-06-15").map(Body::from))
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(
        reply
            .text
            .contains("<Code>MissingAuthenticationToken</Code>"),
        "{}",
        reply.text
    );
    for unknown in [
        "Action=Nothing&Version=2011-06-15",
        "Action=GetCallerIdentity&Version=1",
        "",
        "%ff=%fe",
    ] {
        let reply = api.send(form(unknown).map(Body::from)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{unknown}");
        assert!(reply.text.starts_with("<ErrorResponse "), "{}", reply.text);
    }
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_result() {
    let api = TestApi::new().await;
    api.admin("DescribeUserPool", json!({ "UserPoolId": POOL }))
        .await
        .ok();
    api.public("SignUp", json!({})).await;
    api.public("Nonsense", json!({})).await;
    assert_eq!(
        api.counted(),
        [
            ("DescribeUserPool", "ok"),
            ("SignUp", "InvalidParameterException"),
            ("Unknown", "UnknownOperationException")
        ]
    );
}

#[test]
fn no_request_makes_the_service_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let api = runtime.block_on(TestApi::new());
    let built: Vec<String> = wire::idp::Operation::ALL
        .iter()
        .map(|operation| format!("{PREFIX}.{}", operation.name()))
        .collect();
    let members = [
        "ClientId",
        "Username",
        "AccessToken",
        "AuthParameters",
        "UserAttributes",
        "UserPoolId",
    ];
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from)
    ];
    let value = value.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[A-Za-z]{1,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let object = prop::collection::hash_map(prop::sample::select(members.to_vec()), value, 0..6);
    let body = prop_oneof![
        object.prop_map(|object| json!(object).to_string()),
        ".{0,60}"
    ];
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    };
    proptest!(config, |(target in prop::sample::select(built), body in body)| {
        let reply = runtime.block_on(api.send(request(&target, &body).map(Body::from)));
        prop_assert!(!reply.status.is_server_error() || reply.status == StatusCode::NOT_IMPLEMENTED, "{}", reply.text);
    });
}

async fn told(error: Error) -> (StatusCode, String, http::HeaderMap) {
    let answer = Answer {
        service: Some(&wire::idp::SERVICE),
        protocol: wire::Protocol::Json11,
        operation: "SignUp",
        request_id: "r-1",
        now: SystemTime::UNIX_EPOCH,
    };
    let response = respond(&answer, Err(error));
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (
        parts.status,
        String::from_utf8(body.to_vec()).unwrap(),
        parts.headers,
    )
}

#[tokio::test]
async fn private_detail_stays_with_us() {
    let (status, body, headers) = told(Error::internal("disk /var/lib is full")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        body,
        r#"{"__type":"InternalErrorException","message":"Internal server error"}"#
    );
    assert!(!format!("{headers:?}").contains("disk"));
    let (status, body, _) = told(engine::Error::Stale.into()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!body.contains("revocations"), "{body}");
}

#[tokio::test]
async fn messages_cannot_break_out_of_their_header() {
    let message = "Zeile\r\nset-cookie: a=b \u{e9}\u{0}".to_owned() + &"x".repeat(5000);
    let (_, body, headers) = told(Error::invalid_parameter(message.clone())).await;
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        told.get("message").and_then(Value::as_str),
        Some(message.as_str())
    );
    let header = headers
        .get("x-amzn-errormessage")
        .unwrap()
        .to_str()
        .unwrap();
    assert!(
        header.starts_with("Zeile??set-cookie: a=b ??xxx"),
        "{header}"
    );
    assert_eq!(header.len(), 1024);
    assert!(headers.get("set-cookie").is_none());
}
