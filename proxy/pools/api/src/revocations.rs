//! `GET /{poolId}/revocations?since=`: what a pool has taken back, for gates that have no store of their own.
//!
//! Signed by an operator of the pool as their other calls are. The answer is
//! `{"next": ms, "age_ms": n, "revocations": [{"kind", "subject", "not_before_ms", "expires_ms"}]}`: without `since` all of
//! them, with the `next` of an earlier answer those that may have come since.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use engine::{revocation, rng};
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use sigv4::Payload;
use wire::Protocol;

use crate::respond::Answer;
use crate::{Api, Error, RequestId, Result, dispatch, respond};

pub(crate) async fn answer(
    State(api): State<Arc<Api>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let request_id = match parts.extensions.get::<RequestId>() {
        Some(RequestId(id)) => id.clone(),
        None => rng::uuid(api.engine.rng()),
    };
    let told = tell(&api, &parts, &pool_id).await;
    let outcome = told.as_ref().map_or_else(Error::code, |_| "ok");
    api.observer.api_call(OPERATION, outcome);
    let answer = Answer {
        service: None,
        protocol: Protocol::RestJson,
        operation: OPERATION,
        request_id: &request_id,
        now: api.engine.clock().now(),
    };
    let mut response = respond::respond(&answer, told);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn tell(api: &Api, parts: &Parts, pool_id: &str) -> Result<Vec<u8>> {
    allow(api, parts, pool_id).map_err(|error| error.with_status(StatusCode::FORBIDDEN))?;
    let since_ms = since(parts.uri.query().unwrap_or_default())?;
    let feed = revocation::feed(&api.engine, pool_id, since_ms).ok_or_else(stale)?;
    if feed.revocations.is_empty() {
        // A pool that is gone has one as long as its tokens might live; one that never was has none.
        let pool = engine::pool::load(&api.engine, pool_id).await;
        pool.map_err(|error| Error::from(error).with_status(StatusCode::NOT_FOUND))?;
    }
    let document = json!({
        "next": feed.next_ms,
        "age_ms": u64::try_from(feed.age.as_millis()).unwrap_or(u64::MAX),
        "revocations": feed.revocations,
    });
    Ok(document.to_string().into_bytes())
}

/// Only an operator of the pool is told: who signed out when is nobody else's business.
fn allow(api: &Api, parts: &Parts, pool_id: &str) -> Result<()> {
    let headers = dispatch::with_host(parts);
    let request = sigv4::Request {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: Payload::Bytes(b""),
    };
    let service = wire::operator::SERVICE.signing_name;
    let now = api.engine.clock().now();
    let operator = api.operators.verify(&request, service, now)?;
    if operator.scope().allows(pool_id) {
        return Ok(());
    }
    let account = &api.engine.config().account;
    let (user, resource) = (operator.access_key_id(), api.engine.pool_arn(pool_id));
    Err(Error::access_denied(format!(
        "User: arn:aws:iam::{account}:user/{user} is not authorized to perform: {service}:{OPERATION} on resource: {resource}"
    )))
}

/// The one parameter there is; what is not understood is not left aside.
fn since(query: &str) -> Result<Option<i64>> {
    if query.is_empty() {
        return Ok(None);
    }
    let number = query
        .strip_prefix("since=")
        .and_then(|number| number.parse().ok());
    match number.filter(|number| *number >= 0) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::new(
            "InvalidParameterException",
            "`since` must be the `next` of an earlier answer, and there is no other parameter",
        )),
    }
}

fn stale() -> Error {
    let message =
        "the store was not heard of for some seconds, so some revocations may be unknown here";
    Error::new("ServiceUnavailableException", message).with_status(StatusCode::SERVICE_UNAVAILABLE)
}

const OPERATION: &str = "Revocations";
