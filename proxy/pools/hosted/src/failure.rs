//! Errors as these pages tell them: in the shape of the API's.

use axum::response::{IntoResponse, Response};
use engine::Refusal;
use http::header::CACHE_CONTROL;
use http::{HeaderName, StatusCode};
use serde_json::json;

use crate::SHARED;

/// Why a document is not there.
pub(crate) struct Failure(engine::Error);

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, message) = match &self.0 {
            engine::Error::Refused {
                kind: Refusal::ResourceNotFound,
                message,
            } => (
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                message.as_ref(),
            ),
            error => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "A pool's document cannot be served"
                );
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalErrorException",
                    "Internal server error",
                )
            }
        };
        let body = json!({"__type": code, "message": message}).to_string();
        let named = [
            (CACHE_CONTROL, "no-store".to_owned()),
            (ERROR_TYPE, format!("{code}:")),
        ];
        (status, SHARED, named, body).into_response()
    }
}

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
