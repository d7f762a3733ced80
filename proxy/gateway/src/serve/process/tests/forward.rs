//! What the upstream gets, and what callers get of it.

use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{Gate, Origin, client, dead, http2, with_trailers};

const OPEN: &str = "
listeners: [{address: 127.0.0.1:0}]
upstreams: {origin: {servers: ['http://@ORIGIN@']}}
issuers: {far: {kind: oidc, issuer: 'http://127.0.0.1:9', audiences: [a]}}
routes:
  - {name: all, match: {}, authenticate: none, authorize: none, upstream: {to: origin}}
  - name: guarded
    match: {path: /guarded}
    authenticate: {bearer: {issuers: [far]}}
    authorize: authenticated
    upstream: {to: origin, headers: {x-user: '{claims.sub}'}}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_gets_the_canonical_request() {
    let (gate, origin) = tokio::task::spawn_blocking(|| {
        let origin = Origin::run();
        (Gate::run(OPEN, &origin), origin)
    })
    .await
    .unwrap();
    let answer = client()
        .put(gate.url("/%70ets/a%20b?q=1"))
        .header("x-user", "forged")
        .header("x_user", "forged")
        .header("x-amzn-oidc-identity", "forged")
        .header("x-forwarded-for", "203.0.113.9")
        .header("te", "trailers")
        .header("x-kept", "1")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let saw: Value = answer.json().await.unwrap();
    assert_eq!(saw["method"], "PUT");
    assert_eq!(saw["target"], "/pets/a%20b?q=1");
    let headers = &saw["headers"];
    assert_eq!(headers["host"], gate.addresses[0].to_string());
    assert_eq!(headers["content-length"], "5");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-request-id"], id);
    assert_eq!(headers["x-kept"], "1");
    for name in [
        "x-user",
        "x_user",
        "x-amzn-oidc-identity",
        "te",
        "connection",
    ] {
        assert_eq!(headers[name], Value::Null, "{name}");
    }
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_upstream_without_a_permit() {
    let (gate, origin) = tokio::task::spawn_blocking(|| {
        let origin = Origin::run();
        (Gate::run(OPEN, &origin), origin)
    })
    .await
    .unwrap();
    let code = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap().to_owned())
    };
    let guarded = || client().get(gate.url("/guarded"));
    assert_eq!(code(guarded()).await, (401, "token_missing".into()));
    assert_eq!(
        code(guarded().bearer_auth("a.b.c")).await,
        (401, "token_malformed".into())
    );
    assert_eq!(
        code(
            guarded()
                .header("authorization", "Bearer a")
                .header("authorization", "Bearer b")
        )
        .await,
        (400, "authorization_ambiguous".into())
    );
    assert_eq!(origin.seen.load(Ordering::Relaxed), 0);
    let records = tokio::task::spawn_blocking(|| gate.records())
        .await
        .unwrap();
    let codes: Vec<_> = records
        .iter()
        .map(|record| record["code"].clone())
        .collect();
    assert_eq!(
        codes,
        [
            "token_missing",
            "token_malformed",
            "authorization_ambiguous"
        ]
    );
    assert_eq!(records[0]["route"], "guarded");
    assert_eq!(records[0]["outcome"], "deny");
    assert_eq!(records[0]["upstream"], Value::Null);
    drop_blocking(origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let (gate, origin) = tokio::task::spawn_blocking(|| {
        let origin = Origin::run();
        (Gate::run(OPEN, &origin), origin)
    })
    .await
    .unwrap();
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    for client in [client(), http2()] {
        let answer = client
            .post(gate.url("/echo"))
            .body(sent.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.unwrap() == sent);
    }
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_end_a_body_towards_an_upstream() {
    let (gate, origin) = tokio::task::spawn_blocking(|| {
        let origin = Origin::run();
        (Gate::run(OPEN, &origin), origin)
    })
    .await
    .unwrap();
    for (path, expected) in [("/echo", 200), ("/guarded", 401)] {
        for body in ["", "{}"] {
            let sent = http2().post(gate.url(path)).body(with_trailers(body));
            let answer = sent.send().await.unwrap();
            assert_eq!(answer.status(), expected);
            let text = answer.text().await.unwrap();
            assert!(expected != 200 || text == body, "{text}");
        }
    }
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_passed_over_and_a_dead_upstream_is_said() {
    let (gate, origin) = tokio::task::spawn_blocking(|| {
        let origin = Origin::run();
        let settings = format!(
            "
listeners: [{{address: 127.0.0.1:0}}]
upstreams:
  half: {{servers: ['http://{0}', 'http://@ORIGIN@']}}
  none: {{servers: ['http://{0}']}}
routes:
  - {{name: half, match: {{path: /half}}, authenticate: none, authorize: none, upstream: {{to: half}}}}
  - {{name: none, match: {{path: /none}}, authenticate: none, authorize: none, upstream: {{to: none}}}}
",
            dead()
        );
        (Gate::run(&settings, &origin), origin)
    })
    .await
    .unwrap();
    for _ in 0..4 {
        let answer = client().get(gate.url("/half")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let answer = client().get(gate.url("/none")).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "upstream_unreachable");
    assert_eq!(body["retryable"], true);
    let records = tokio::task::spawn_blocking(|| gate.records())
        .await
        .unwrap();
    let last = records.last().unwrap();
    assert_eq!(
        (last["outcome"].as_str(), last["status"].as_u64()),
        (Some("error"), Some(502))
    );
    assert_eq!(records[0]["upstream"], format!("http://{}", origin.address));
    drop_blocking(origin).await;
}

/// Runtimes must not be dropped where tasks run.
pub(super) async fn drop_blocking<T: Send + 'static>(value: T) {
    tokio::task::spawn_blocking(|| drop(value)).await.unwrap();
}

/// An upstream that answers one request and says every byte that came up to `quiet` afterwards.
async fn bytes_of_one_request(listener: tokio::net::TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"0\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    // The gate closes: what else it had to say has come by then.
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_body_without_a_length_ends_once_towards_the_upstream() {
    let raw = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = OPEN.replace("@ORIGIN@", &raw.local_addr().unwrap().to_string());
    let (gate, origin) = tokio::task::spawn_blocking(move || {
        let origin = Origin::run();
        (Gate::run(&settings, &origin), origin)
    })
    .await
    .unwrap();
    let upstream = tokio::spawn(bytes_of_one_request(raw));
    // A stream's end is known only after its last piece, so the last frame is an empty one.
    let pieces = tokio_stream::iter([Ok::<_, std::io::Error>("hello")]);
    let sent = http2()
        .post(gate.url("/upload"))
        .body(reqwest::Body::wrap_stream(pieces))
        .send();
    assert_eq!(sent.await.unwrap().status(), 200);
    let bytes = String::from_utf8(upstream.await.unwrap()).unwrap();
    let body = bytes.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body, "5\r\nhello\r\n0\r\n\r\n");
    drop_blocking((gate, origin)).await;
}
