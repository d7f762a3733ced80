//! A running gate, and an origin behind it that says what it got.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::{Loaded, Process, Running, Runtimes};
use crate::{
    logs,
    serve::{Overrides, running::End},
};

/// A gate that is stopped when it is dropped.
pub(super) struct Gate {
    running: Option<Running>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) dir: TempDir,
}

impl Gate {
    /// Runs the gate on settings; `@ORIGIN@` in them stands for an origin's address.
    pub(super) fn run(settings: &str, origin: &Origin) -> Self {
        Self::run_in(tempfile::tempdir().unwrap(), settings, origin)
    }

    pub(super) fn run_in(dir: TempDir, settings: &str, origin: &Origin) -> Self {
        Self::run_with(dir, settings, origin, |_| ())
    }

    /// Runs a gate that is changed before it serves.
    pub(super) fn run_with(
        dir: TempDir,
        settings: &str,
        origin: &Origin,
        change: impl FnOnce(&mut Process),
    ) -> Self {
        // Tests run in one process; the first installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let file = dir.path().join("portcullis.yaml");
        let text = format!("log: {{decisions: decisions.jsonl}}\n{settings}");
        std::fs::write(&file, text.replace("@ORIGIN@", &origin.address.to_string())).unwrap();
        let loaded = Loaded::load(&file, Overrides::default(), None)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let mut process = Process::open(
            loaded,
            logs::Sink::stderr(),
            Runtimes::start(None).unwrap(),
            None,
        )
        .unwrap();
        change(&mut process);
        let addresses = process.addresses();
        Self {
            running: Some(process.serve().unwrap()),
            addresses,
            dir,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses[0])
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.dir.path().join("portcullis.yaml")
    }

    pub(super) fn reload(&self) {
        self.running.as_ref().unwrap().reload();
    }

    pub(super) fn status(&self) -> Arc<crate::status::Status> {
        self.running.as_ref().unwrap().status.clone()
    }

    /// Stops it, and waits for what is under way as long as its settings say.
    pub(super) fn stop(&mut self) {
        let impatience = std::future::pending();
        if let Some(mut running) = self.running.take() {
            running.wait = Duration::ZERO;
            running.grace = running.grace.min(Duration::from_secs(20));
            running.stop(End::Drain, impatience);
        }
    }

    /// Stops it, and reads its decision records.
    pub(super) fn records(mut self) -> Vec<Value> {
        self.stop();
        let text = std::fs::read_to_string(self.dir.path().join("decisions.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A service that answers `/echo…` with the body it gets, and all else with what it saw of the request.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Origin {
    pub(super) fn run() -> Self {
        let runtime = Runtime::new().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        let app = Router::new().fallback(move |request: Request| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(answer(request))
        });
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            seen,
            _runtime: runtime,
        }
    }
}

fn answer(request: Request) -> Response {
    if request.uri().path().starts_with("/echo") {
        return Response::new(Body::new(request.into_body()));
    }
    let headers: serde_json::Map<String, Value> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let saw = json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": headers,
    });
    axum::response::IntoResponse::into_response(Json(saw))
}

/// An address that nothing listens on.
pub(super) fn dead() -> SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

/// A client that speaks HTTP/2 without TLS.
pub(super) fn http2() -> reqwest::Client {
    let client = reqwest::Client::builder().http2_prior_knowledge();
    client.build().unwrap()
}

/// A body that trailers end.
pub(super) fn with_trailers(body: &'static str) -> reqwest::Body {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
    let mut frames = vec![Ok::<_, std::io::Error>(Frame::trailers(trailers))];
    if !body.is_empty() {
        frames.insert(0, Ok(Frame::data(Bytes::from_static(body.as_bytes()))));
    }
    reqwest::Body::wrap(StreamBody::new(tokio_stream::iter(frames)))
}

/// Polls until it holds; panics when it does not within ten seconds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::task::yield_now().await;
    }
}

pub(super) fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// A folder with a seal key for the engine.
pub(super) fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_secret(&dir.path().join("seal.key"), &"0123456789abcdef".repeat(4));
    dir
}

/// Writes a file that is private from its first moment, all at once.
pub(super) fn write_secret(file: &Path, content: &str) {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, content).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(draft, file).unwrap();
}
