//! Answers on the wire: the one place where results and errors become responses.

use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    CONTENT_TYPE, DATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use wire::{Protocol, Rejected, Service};

use crate::{Error, Result};

/// What an answer is made of besides its result.
pub(crate) struct Answer<'a> {
    /// The service, if the request named one.
    pub(crate) service: Option<&'static Service>,
    /// How the request was written.
    pub(crate) protocol: Protocol,
    pub(crate) operation: &'static str,
    pub(crate) request_id: &'a str,
    pub(crate) now: SystemTime,
}

impl Answer<'_> {
    fn protocol(&self) -> Protocol {
        self.service
            .map_or(self.protocol, |service| service.protocol)
    }
}

/// The response of a call that ended.
pub(crate) fn respond(answer: &Answer<'_>, result: Result<Vec<u8>>) -> Response {
    let mut response = match result {
        Ok(body) => Response::new(Body::from(body)),
        Err(error) => refuse(answer, &error),
    };
    let content_type = match answer.protocol() {
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::RestJson => "application/json",
        Protocol::Query => "text/xml",
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    common_headers(response.headers_mut(), answer.request_id, answer.now);
    response
}

/// The answer to a browser's question whether it may call.
pub(crate) fn preflight(asked: &HeaderMap, request_id: &str, now: SystemTime) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let wanted = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        wanted.unwrap_or(HeaderValue::from_static("*")),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("172800"));
    common_headers(headers, request_id, now);
    response
}

/// A request that the service's model refuses.
pub(crate) fn rejected(service: &Service, rejected: Rejected) -> Error {
    match rejected {
        Rejected::Malformed(message) => Error::new("SerializationException", message),
        Rejected::Invalid(message) => match service.name {
            "cognito-identity" | "verifiedpermissions" | "sts" => {
                Error::new("ValidationException", message)
            }
            _ => Error::new("InvalidParameterException", message),
        },
    }
}

/// A signature that does not stand: 403, but 400 as every error of the JSON protocols.
pub(crate) fn authentication(service: &Service, error: Error) -> Error {
    match service.protocol {
        Protocol::Json10 | Protocol::Json11 => error,
        Protocol::RestJson | Protocol::Query => error.with_status(StatusCode::FORBIDDEN),
    }
}

fn refuse(answer: &Answer<'_>, error: &Error) -> Response {
    if let Some(detail) = &error.detail {
        let (id, operation) = (answer.request_id, answer.operation);
        tracing::error!(request.id = %id, operation, error = %chain(detail.as_ref()), "An API call failed");
    }
    let status = status(answer, error);
    let body = match answer.protocol() {
        Protocol::Query => {
            let service = answer.service.unwrap_or(&wire::sts::SERVICE);
            let sender = !status.is_server_error();
            wire::query::encode_error(
                service,
                query_code(answer, error.code),
                &error.message,
                sender,
                answer.request_id,
            )
        }
        // AWS leaves a message away that it does not have.
        _ if error.message.is_empty() => json!({ "__type": error.code }).to_string().into_bytes(),
        _ => json!({ "__type": error.code, "message": error.message })
            .to_string()
            .into_bytes(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if answer.protocol() != Protocol::Query {
        let headers = response.headers_mut();
        insert(headers, ERROR_TYPE, &format!("{}:", error.code));
        insert(headers, ERROR_MESSAGE, &printable(&error.message));
    }
    response
}

fn status(answer: &Answer<'_>, error: &Error) -> StatusCode {
    let modelled = || {
        let shapes = answer
            .service
            .map(|service| service.errors)
            .unwrap_or_default();
        let shape = shapes.iter().find(|shape| shape.name == error.code)?;
        StatusCode::from_u16(shape.status).ok()
    };
    error
        .status
        .or_else(modelled)
        .unwrap_or(StatusCode::BAD_REQUEST)
}

/// The query protocol has its own names for the errors that all services share.
fn query_code(answer: &Answer<'_>, code: &'static str) -> &'static str {
    match code {
        "AccessDeniedException" => "AccessDenied",
        "IncompleteSignatureException" => "IncompleteSignature",
        "InternalErrorException" => "InternalFailure",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "NotImplementedException" => "NotImplemented",
        "UnknownOperationException" => "InvalidAction",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "ValidationException" => "ValidationError",
        other => {
            let shapes = answer
                .service
                .map(|service| service.errors)
                .unwrap_or_default();
            shapes
                .iter()
                .find(|shape| shape.name == other)
                .map_or(other, |shape| shape.code)
        }
    }
}

fn common_headers(headers: &mut HeaderMap, request_id: &str, now: SystemTime) {
    insert(headers, REQUEST_ID, request_id);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"),
    );
    // Clients set their signatures' clock by it (RFC 9110 section 6.6.1).
    if let Ok(date) = OffsetDateTime::from(now).format(HTTP_DATE) {
        insert(headers, DATE, &date);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Text as a header can carry it: other characters become `?`, and the length is bounded.
fn printable(text: &str) -> String {
    let printable = |letter: char| {
        if letter == ' ' || letter.is_ascii_graphic() {
            letter
        } else {
            '?'
        }
    };
    text.chars().take(LONGEST_MESSAGE).map(printable).collect()
}

/// An error with all its causes, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-amzn-errormessage");

/// Characters of an error's message that its header carries.
const LONGEST_MESSAGE: usize = 1024;

/// IMF-fixdate, as in RFC 9110 section 5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);
