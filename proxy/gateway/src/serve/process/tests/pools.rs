//! The engine behind `serve: pools`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, routing::post};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_stream::StreamExt as _;

use super::{
    super::Process,
    forward::drop_blocking,
    harness::{Gate, Origin, client, folder, http2, until, with_trailers},
};
use crate::mount::Mount;

pub(super) const SETTINGS: &str = "
listeners: [{address: 127.0.0.1:0}]
pools: {store: 'sqlite:pools.db', seal: {file: seal.key}, public_url: 'http://127.0.0.1:1'}
routes:
  - {name: pools, match: {}, serve: pools}
";

async fn run(change: impl FnOnce(&mut Process) + Send + 'static) -> (Gate, Origin) {
    let run = || {
        let origin = Origin::run();
        (Gate::run_with(folder(), SETTINGS, &origin, change), origin)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_over_every_version_of_http() {
    let (gate, origin) = run(|_| ()).await;
    for client in [client(), http2()] {
        for _ in 0..2 {
            let request = client
                .post(gate.url("/"))
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", "AWSCognitoIdentityProviderService.GetUser")
                .body("{}");
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 400);
            assert_eq!(
                answer.headers()["x-amzn-requestid"],
                answer.headers()["x-request-id"]
            );
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["__type"], "InvalidParameterException", "{body}");
        }
        let preflight = client
            .request(reqwest::Method::OPTIONS, gate.url("/"))
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        assert!(preflight.status().is_success());
        assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    }
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_arrive_whole_and_within_the_limit() {
    let length = async |body: Bytes| body.len().to_string();
    let router = Router::new()
        .route("/length", post(length))
        .layer(DefaultBodyLimit::disable());
    let (gate, origin) = run(|process| {
        let runtime = process.runtimes.engine.handle().clone();
        process.gateway.mount = Some(Mount::new(router, runtime, Duration::from_mins(1)));
    })
    .await;
    for (size, expected) in [(0, 200), (1, 200), (2 << 20, 200), ((2 << 20) + 1, 413)] {
        let whole = vec![b'x'; size];
        let pieces: Vec<Result<_, std::io::Error>> =
            whole.chunks(64 * 1024).map(|p| Ok(p.to_vec())).collect();
        let streamed = reqwest::Body::wrap_stream(tokio_stream::iter(pieces));
        for body in [reqwest::Body::from(whole), streamed] {
            let request = client().post(gate.url("/length")).body(body);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), expected, "{size}");
            if expected == 200 {
                assert_eq!(answer.text().await.unwrap(), size.to_string());
            }
        }
    }
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_end_a_body() {
    let (gate, origin) = run(|process| {
        let router = Router::new().route("/echo", post(async |body: Bytes| body));
        let runtime = process.runtimes.engine.handle().clone();
        process.gateway.mount = Some(Mount::new(router, runtime, Duration::from_mins(1)));
    })
    .await;
    for body in ["", "{}"] {
        let sent = http2().post(gate.url("/echo")).body(with_trailers(body));
        let answer = tokio::time::timeout(Duration::from_secs(10), sent.send()).await;
        let answer = answer.expect("an answer").unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), body);
    }
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_in_time_is_refused() {
    let router = Router::new().route("/length", post(async |body: Bytes| body.len().to_string()));
    let (gate, origin) = run(|process| {
        let runtime = process.runtimes.engine.handle().clone();
        process.gateway.mount = Some(Mount::new(router, runtime, Duration::ZERO));
    })
    .await;
    let first = tokio_stream::iter([Ok::<_, std::io::Error>("hello")]);
    let body = reqwest::Body::wrap_stream(first.chain(tokio_stream::pending()));
    let request = client().post(gate.url("/length")).body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 408);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "body_timeout", "{problem}");
    drop_blocking((gate, origin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_dropped_when_its_caller_leaves() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (began, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (started, flag) = (began.clone(), dropped.clone());
    let slow = async move || {
        let _flag = Flag(flag);
        started.notify_one();
        std::future::pending::<&str>().await
    };
    let router = Router::new().route("/slow", post(slow));
    let (gate, origin) = run(|process| {
        let runtime = process.runtimes.engine.handle().clone();
        process.gateway.mount = Some(Mount::new(router, runtime, Duration::from_mins(1)));
    })
    .await;
    let url = gate.url("/slow");
    let call = tokio::spawn(async move { client().post(url).body("hello").send().await });
    began.notified().await;
    assert!(!dropped.load(Ordering::Relaxed));
    call.abort();
    until("the call is dropped", async || {
        dropped.load(Ordering::Relaxed)
    })
    .await;
    let records = tokio::task::spawn_blocking(|| gate.records())
        .await
        .unwrap();
    assert_eq!(records[0]["outcome"], "abort");
    drop_blocking(origin).await;
}
