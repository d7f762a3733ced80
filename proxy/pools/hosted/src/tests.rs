use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use testkit::TestEngine;
use tower::ServiceExt as _;

use super::*;

const POOL: &str = "us-east-1_Test00001";

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn engine(mut settings: Value) -> TestEngine {
    settings["declare"] = json!([{"id": POOL}]);
    settings["public_url"] = json!("https://auth.example.com/base/");
    TestEngine::with(settings).await.unwrap()
}

async fn call(engine: &TestEngine, method: Method, path: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .body(Body::empty())
        .unwrap();
    let response = router(Engine::clone(engine))
        .oneshot(request)
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body).unwrap(),
    }
}

#[tokio::test]
async fn the_key_set_is_public_and_holds_nothing_private() {
    let engine = engine(json!({})).await;
    let reply = call(
        &engine,
        Method::GET,
        &format!("/{POOL}/.well-known/jwks.json"),
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("cache-control"), "public, max-age=300");
    let keys = reply.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let members: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}

#[tokio::test]
async fn discovery_says_where_things_are_whatever_the_host_header_says() {
    let engine = engine(json!({})).await;
    let reply = call(
        &engine,
        Method::GET,
        &format!("/{POOL}/.well-known/openid-configuration"),
    )
    .await;
    let base = format!("https://auth.example.com/base/{POOL}");
    assert_eq!(
        reply.json(),
        json!({
            "authorization_endpoint": format!("{base}/oauth2/authorize"),
            "id_token_signing_alg_values_supported": ["RS256"],
            "issuer": base,
            "jwks_uri": format!("{base}/.well-known/jwks.json"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "token_endpoint": format!("{base}/oauth2/token"),
        })
    );
}

#[tokio::test]
async fn awss_issuer_keeps_its_keys_here() {
    let engine = engine(json!({"issuer": "aws"})).await;
    let reply = call(
        &engine,
        Method::GET,
        &format!("/{POOL}/.well-known/openid-configuration"),
    )
    .await;
    let document = reply.json();
    assert_eq!(
        document["issuer"],
        format!("https://cognito-idp.us-east-1.amazonaws.com/{POOL}")
    );
    assert_eq!(
        document["jwks_uri"],
        format!("https://auth.example.com/base/{POOL}/.well-known/jwks.json")
    );
}

#[tokio::test]
async fn an_unknown_pool_is_not_found_in_awss_shape() {
    let engine = engine(json!({})).await;
    for name in ["jwks.json", "openid-configuration"] {
        let reply = call(
            &engine,
            Method::GET,
            &format!("/us-east-1_Nobody/.well-known/{name}"),
        )
        .await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(
            reply.header("x-amzn-errortype"),
            "ResourceNotFoundException:"
        );
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        let message = "User pool us-east-1_Nobody does not exist.";
        assert_eq!(
            reply.json(),
            json!({"__type": "ResourceNotFoundException", "message": message})
        );
    }
    let reply = call(&engine, Method::GET, &format!("/{POOL}/.well-known/other")).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn scripts_of_any_site_may_ask() {
    let engine = engine(json!({})).await;
    let path = format!("/{POOL}/.well-known/jwks.json");
    let reply = call(&engine, Method::OPTIONS, &path).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let reply = call(&engine, Method::HEAD, &path).await;
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, ""));
    let reply = call(&engine, Method::POST, &path).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
}
