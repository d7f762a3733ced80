//! One fetch: where from, and what of it is taken.

use super::*;

#[tokio::test]
async fn keys_are_found_by_discovery() {
    let provider = Provider::start().await;
    provider.discovery();
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let keys = start(provider.source());
    assert!(!keys.current().is_loaded());
    keys.fetched().await;
    let status = keys.status();
    assert_eq!(
        (
            keys.current().keys().len(),
            status.keys,
            status.succeeded,
            status.failed
        ),
        (1, 1, 1, 0)
    );
    assert!(status.age.unwrap() < Duration::from_mins(1));
    assert!(status.next_refresh > Duration::from_secs(200));
    assert_eq!(status.last_error, None);
}

#[tokio::test]
async fn keys_are_fetched_from_a_given_url() {
    let provider = Provider::start().await;
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let jwks_uri = Some(format!("http://{}/keys", provider.address).parse().unwrap());
    let keys = start(Source {
        jwks_uri,
        ..provider.source()
    });
    keys.fetched().await;
    assert!(keys.current().is_loaded());
    assert_eq!(provider.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn discovery_of_another_issuer_is_refused() {
    let provider = Provider::start().await;
    provider.say(
        "/pool/.well-known/openid-configuration",
        200,
        json!({"issuer": "https://evil.test", "jwks_uri": format!("http://{}/keys", provider.address)}),
    );
    provider.keys(&[rsa_jwk(&RSA, "k1")]);
    let error = provider.error().await;
    let url = format!("`{}/.well-known/openid-configuration`", provider.issuer());
    assert!(
        error.contains("another issuer") && error.contains(&url),
        "{error}"
    );
}

#[tokio::test]
async fn bad_answers_are_told_and_load_nothing() {
    let provider = Provider::start().await;
    provider.discovery();
    let bodies = [
        (404, String::new(), "answered 404"),
        (
            302,
            format!("http://{}/elsewhere", provider.address),
            "answered 302",
        ),
        (200, "<html>".into(), "not a JWK set"),
        (200, r#"{"keys":[]}"#.into(), "no key that can be used"),
        (
            200,
            r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.into(),
            "no key that can be used",
        ),
        (
            200,
            json!({"keys": vec![rsa_jwk(&RSA, "k1"); 101]}).to_string(),
            "has 101 keys, more than the limit of 100",
        ),
        (200, r#"{"keys":{}}"#.into(), "not a JWK set"),
        (
            200,
            format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(150 * 1024)),
            "more than the limit",
        ),
    ];
    provider.say("/elsewhere", 200, json!({"keys": [rsa_jwk(&RSA, "k1")]}));
    for (status, body, expected) in bodies {
        provider.say("/keys", status, body);
        let error = provider.error().await;
        let url = format!("`http://{}/keys`", provider.address);
        assert!(error.contains(expected) && error.contains(&url), "{error}");
    }
}

#[tokio::test]
async fn an_error_names_the_url_without_what_may_be_secret() {
    let provider = Provider::start().await;
    let error = async |url: String| {
        let keys = start(Source {
            jwks_uri: Some(url.parse().unwrap()),
            ..provider.source()
        });
        keys.fetched().await;
        keys.status().last_error.unwrap()
    };
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    provider.say("/text?key=hunter2", 200, "text");
    for (address, path) in [
        (provider.address, "text"),
        (provider.address, "absent"),
        (nobody, "keys"),
    ] {
        let error = error(format!("http://{address}/{path}?key=hunter2#hunter2")).await;
        let shown = format!("`http://{address}/{path}`");
        assert!(
            error.contains(&shown) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn plain_http_is_only_for_loopback() {
    let provider = Provider::start().await;
    for bad in [
        "http://issuer.test/x",
        "ftp://127.0.0.1/x",
        "https://user:pass@issuer.test/x",
        "issuer",
    ] {
        let source = Source {
            issuer: bad.into(),
            ..provider.source()
        };
        let error = RemoteKeys::start(source, None, &Handle::current())
            .unwrap_err()
            .to_string();
        assert!(!error.contains("pass@"), "{error}");
    }
}

#[tokio::test]
async fn plain_http_goes_through_no_proxy() {
    let provider = Provider::start().await;
    let proxy = Proxy {
        url: "http://127.0.0.1:9".parse().unwrap(),
        credentials: None,
    };
    let source = Source {
        transport: Transport::new(None, Some(proxy)).unwrap(),
        ..provider.source()
    };
    let refused = RemoteKeys::start(source, None, &Handle::current()).unwrap_err();
    assert!(refused.to_string().contains("https is required"));
}
