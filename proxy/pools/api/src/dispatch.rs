//! The way of one call: which operation, who calls, is the request right, run it, answer.

mod target;

use std::borrow::Cow;
use std::error::Error as StdError;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use engine::rng;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::LengthLimitError;
use serde_json::Value;
use sigv4::Payload;
use wire::Protocol;
use wire::query::Parameters;

use crate::caller::Call;
use crate::operators::Operator;
use crate::respond::Answer;
use crate::table::State;
use crate::{Api, Error, RequestId, Result, respond};
pub(crate) use target::Target;

/// Answers any request.
pub(crate) async fn answer(api: &Api, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = match parts.extensions.get::<RequestId>() {
        Some(RequestId(id)) => id.clone(),
        None => rng::uuid(api.engine.rng()),
    };
    let now = api.engine.clock().now();
    if parts.method == Method::OPTIONS {
        return respond::preflight(&parts.headers, &request_id, now);
    }
    let protocol = protocol(&parts);
    let (target, result) = run(api, &parts, body, protocol, &request_id).await;
    let operation = target.map_or("Unknown", Target::name);
    api.observer.api_call(
        operation,
        result.as_ref().map_or_else(Error::code, |_| "ok"),
    );
    let service = target.map(Target::service);
    respond::respond(
        &Answer {
            service,
            protocol,
            operation,
            request_id: &request_id,
            now,
        },
        result,
    )
}

/// The operation, as far as one was found, and how it went.
async fn run(
    api: &Api,
    parts: &Parts,
    body: Body,
    protocol: Protocol,
    request_id: &str,
) -> (Option<Target>, Result<Vec<u8>>) {
    match resolve(parts, body, protocol).await {
        Err(error) => (None, Err(error)),
        Ok(found) => (
            Some(found.target),
            perform(api, parts, found, request_id).await,
        ),
    }
}

async fn perform(api: &Api, parts: &Parts, found: Found, request_id: &str) -> Result<Vec<u8>> {
    let (service, spec) = (found.target.service(), found.target.spec());
    let operator = if spec.signed {
        Some(verify(api, parts, &found)?)
    } else {
        None
    };
    if found.target.state() == State::NotBuilt {
        return Err(Error::not_built(spec.name));
    }
    let input = decode(parts, &found)?;
    found
        .target
        .run(
            Call {
                api,
                service,
                spec,
                request_id,
                operator,
            },
            input,
        )
        .await
}

/// A request whose operation is known.
struct Found {
    target: Target,
    body: Bytes,
    /// A form's parameters, or a path's.
    parameters: Parameters,
}

async fn resolve(parts: &Parts, body: Body, protocol: Protocol) -> Result<Found> {
    if protocol == Protocol::RestJson {
        let path = parts.uri.path();
        let (target, parameters) = Target::of_path(&parts.method, path).ok_or_else(no_operation)?;
        return Ok(Found {
            target,
            body: read(parts, body).await?,
            parameters,
        });
    }
    if parts.method != Method::POST {
        return Err(no_operation());
    }
    if protocol == Protocol::Query {
        let body = read(parts, body).await?;
        let parameters = wire::query::parameters(&body)
            .map_err(|rejected| respond::rejected(&wire::sts::SERVICE, rejected))?;
        return Ok(Found {
            target: Target::of_action(&parameters)?,
            body,
            parameters,
        });
    }
    let target = Target::of_header(&parts.headers)?;
    check_content_type(&parts.headers)?;
    Ok(Found {
        target,
        body: read(parts, body).await?,
        parameters: Parameters::new(),
    })
}

/// How the request is written, by the little it says before its operation is known.
fn protocol(parts: &Parts) -> Protocol {
    if parts.uri.path() != "/" {
        Protocol::RestJson
    } else if !parts.headers.contains_key(target::HEADER) && content_type(&parts.headers) == FORM {
        Protocol::Query
    } else {
        Protocol::Json11
    }
}

fn decode(parts: &Parts, found: &Found) -> Result<Value> {
    let (service, shape) = (found.target.service(), found.target.spec().input);
    let value = match service.protocol {
        Protocol::Json10 | Protocol::Json11 => wire::json::decode(shape, &found.body),
        Protocol::Query => wire::query::decode(shape, &found.parameters),
        Protocol::RestJson => {
            let query = parts.uri.query().unwrap_or_default();
            wire::rest::decode(shape, &found.parameters, query, &parts.headers, &found.body)
        }
    };
    value.map_err(|rejected| respond::rejected(service, rejected))
}

fn verify<'a>(api: &'a Api, parts: &Parts, found: &Found) -> Result<&'a Operator> {
    let headers = with_host(parts);
    let request = sigv4::Request {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        payload: Payload::Bytes(&found.body),
    };
    let verified = api.operators.verify(
        &request,
        found.target.service().signing_name,
        api.engine.clock().now(),
    );
    verified.map_err(|error| respond::authentication(found.target.service(), error))
}

/// The headers as HTTP/1.1 would have them: HTTP/2's `:authority` is signed as `host`.
pub(crate) fn with_host(parts: &Parts) -> Cow<'_, HeaderMap> {
    let authority = parts
        .uri
        .authority()
        .filter(|_| !parts.headers.contains_key(http::header::HOST));
    match authority.and_then(|authority| http::HeaderValue::try_from(authority.as_str()).ok()) {
        None => Cow::Borrowed(&parts.headers),
        Some(host) => {
            let mut headers = parts.headers.clone();
            headers.insert(http::header::HOST, host);
            Cow::Owned(headers)
        }
    }
}

/// The whole body, up to the limit.
async fn read(parts: &Parts, body: Body) -> Result<Bytes> {
    let length = parts
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > LARGEST_BODY) {
        return Err(too_large());
    }
    let broken = |error: axum::Error| {
        let over = error
            .source()
            .is_some_and(<dyn StdError>::is::<LengthLimitError>);
        if over {
            too_large()
        } else {
            Error::new("SerializationException", "the request's body ended early")
        }
    };
    to_bytes(body, LARGEST_BODY).await.map_err(broken)
}

fn check_content_type(headers: &HeaderMap) -> Result<()> {
    match content_type(headers) {
        "application/x-amz-json-1.0" | "application/x-amz-json-1.1" => Ok(()),
        _ => Err(Error::unknown_operation(
            "the content type must be `application/x-amz-json-1.1`",
        )),
    }
}

/// The media type without its parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn no_operation() -> Error {
    Error::unknown_operation("no operation has this method and path")
        .with_status(StatusCode::NOT_FOUND)
}

fn too_large() -> Error {
    Error::new(
        "RequestEntityTooLargeException",
        "the request's body is larger than 1 MiB",
    )
    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

const FORM: &str = "application/x-www-form-urlencoded";

/// AWS's JSON services take up to 1 MiB.
const LARGEST_BODY: usize = 1024 * 1024;
