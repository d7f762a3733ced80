//! The admin listener: metrics, health, readiness and operator views. It changes nothing; what does is a signed API call.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
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
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/routes", get(routes))
        .route("/issuers", get(issuers))
        .route("/upstreams", get(upstreams))
        .route("/config", get(config))
        .with_state(views)
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
    let body = json!({
        "status": "ready",
        "generation": snapshot.generation,
        "degraded": degraded,
    });
    (StatusCode::OK, Json(body))
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
        degraded.extend(snapshot.degraded_issuers());
        if self.metrics.records_dropped.is_failing() {
            degraded.push(Degraded {
                what: "log.decisions".into(),
                why: "decision records cannot be written and are lost; the log says why".into(),
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

    /// Brings the metrics up to date that are asked for rather than counted.
    fn observe(&self) {
        self.current.load().observe(&self.metrics);
        if let Some(engine) = &self.engine {
            self.metrics.observe_engine(engine);
        }
    }
}
