//! The admin listener: metrics, health, readiness and operator views. It changes nothing; what does is a signed API call.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    listen::Tls,
    metrics::Metrics,
    snapshot::Snapshot,
    status::{Degraded, Status},
};

/// What the views show.
#[derive(Clone)]
pub(crate) struct Views {
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Metrics,
    pub(crate) engine: Option<engine::Engine>,
    pub(crate) clock: Arc<dyn engine::Clock>,
    /// Of the listeners that speak it.
    pub(crate) tls: Vec<Arc<Tls>>,
}

/// Serves the views until the runtime is shut down.
pub(crate) async fn serve(socket: std::net::TcpListener, views: Views) -> std::io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    axum::serve(listener, router(views)).await
}

/// Binds the admin listener; nothing is served yet.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<(std::net::TcpListener, SocketAddr)> {
    let socket = std::net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn router(views: Views) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/routes", get(routes))
        .route("/issuers", get(issuers))
        .route("/upstreams", get(upstreams))
        .route("/config", get(config))
        .fallback(absent)
        .with_state(views)
}

/// JSON as people read it in a terminal: its last line ends.
struct Json<T>(T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
            Err(error) => {
                tracing::error!(%error, "A view cannot be shown");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

async fn absent(uri: Uri) -> impl IntoResponse {
    let text = format!("there is no page `{}` here\n\n{INDEX}", uri.path());
    (StatusCode::NOT_FOUND, text)
}

async fn metrics(State(views): State<Views>) -> impl IntoResponse {
    views.observe();
    let content_type = [("content-type", "text/plain; version=0.0.4")];
    (content_type, views.metrics.text())
}

async fn ready(State(views): State<Views>) -> impl IntoResponse {
    let snapshot = views.current.load();
    if views.status.is_draining() {
        let body = json!({"status": "draining", "generation": snapshot.generation});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body));
    }
    let degraded = views.degraded(&snapshot);
    // Without its store the process loses what it is told: another, or a restart, serves better.
    let (code, status) = if views.trouble().is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "store_lost")
    } else {
        (StatusCode::OK, "ready")
    };
    let body = json!({
        "status": status,
        "generation": snapshot.generation,
        "degraded": degraded,
    });
    (code, Json(body))
}

async fn routes(State(views): State<Views>) -> impl IntoResponse {
    Json(views.current.load().views.clone())
}

async fn issuers(State(views): State<Views>) -> impl IntoResponse {
    Json(views.current.load().issuer_views())
}

async fn upstreams(State(views): State<Views>) -> impl IntoResponse {
    let snapshot = views.current.load();
    let upstreams = snapshot.upstreams.iter();
    Json(
        upstreams
            .map(|upstream| upstream.view())
            .collect::<Vec<_>>(),
    )
}

async fn config(State(views): State<Views>) -> impl IntoResponse {
    Json(views.current.load().config.clone())
}

impl Views {
    /// What the last reload found, and what is not well at this moment.
    fn degraded(&self, snapshot: &Snapshot) -> Vec<Degraded> {
        let mut degraded = self.status.degraded();
        degraded.extend(snapshot.degraded());
        degraded.extend(self.metrics.lost.degraded());
        let now = self.clock.now();
        let invalid = self.tls.iter().flat_map(|tls| tls.invalid(now));
        degraded.extend(invalid.map(Degraded::from));
        if let Some(why) = self.trouble() {
            degraded.push(Degraded {
                what: "pools.store".into(),
                why,
            });
        }
        if self.engine.as_ref().is_some_and(engine::Engine::is_stale) {
            degraded.push(Degraded {
                what: "pools".into(),
                why: "changes cannot be read from the store, so tokens of embedded issuers are answered with 503"
                    .into(),
            });
        }
        degraded
    }

    /// Why the pools cannot keep what they are told, if so.
    fn trouble(&self) -> Option<String> {
        self.engine.as_ref()?.trouble()
    }

    /// Brings the metrics up to date that are asked for rather than counted.
    fn observe(&self) {
        let snapshot = self.current.load();
        snapshot.observe(&self.metrics);
        snapshot
            .upstreams
            .iter()
            .for_each(|upstream| upstream.observe());
        if let Some(engine) = &self.engine {
            self.metrics.pools.observe(engine);
        }
    }
}

/// Every page, at `/`.
const INDEX: &str = "\
portcullis, for operators; every page is read-only

/healthz    200 while the process lives
/readyz     200 while it takes requests; what is not well, and why
/metrics    Prometheus text
/config     the settings in force, without secrets
/routes     what each route asks of a caller
/issuers    whose tokens are accepted, and how their keys stand
/upstreams  servers, their health and connections
";
