//! The pools' own pages: for now the key set and the discovery document of each pool.
//!
//! They stand beside the API on the gate's `serve: pools` routes, below `/{poolId}/`.

mod discovery;
mod failure;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use engine::Engine;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, StatusCode};

use failure::Failure;

/// The pools' pages.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/{pool}/.well-known/jwks.json", page(get(jwks)))
        .route(
            "/{pool}/.well-known/openid-configuration",
            page(get(configuration)),
        )
        .with_state(engine)
}

/// Any site's scripts may read these documents, and a preflight may ask.
fn page(page: MethodRouter<Engine>) -> MethodRouter<Engine> {
    page.options(async || (StatusCode::NO_CONTENT, PREFLIGHT))
}

async fn jwks(State(engine): State<Engine>, Path(pool): Path<String>) -> Result<Response, Failure> {
    let keys: Arc<str> = engine::signing_key::jwks(&engine, &pool).await?;
    Ok(document(keys.to_string()))
}

async fn configuration(
    State(engine): State<Engine>,
    Path(pool): Path<String>,
) -> Result<Response, Failure> {
    let pool = engine::pool::load(&engine, &pool).await?;
    Ok(document(discovery::of(&engine, pool.id()).to_string()))
}

fn document(json: String) -> Response {
    (SHARED, [(CACHE_CONTROL, FRESH)], json).into_response()
}

/// The headers of every document and error.
const SHARED: [(HeaderName, &str); 3] = [
    (CONTENT_TYPE, "application/json"),
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

const PREFLIGHT: [(HeaderName, &str); 4] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
    (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
    (ACCESS_CONTROL_MAX_AGE, "86400"),
];

/// Minutes, not AWS's day: a key that an operator rotates to at once must not wait for caches.
const FRESH: &str = "public, max-age=300";

#[cfg(test)]
mod tests;
