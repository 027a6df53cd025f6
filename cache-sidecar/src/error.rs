//! Why a request got no bytes, and the HTTP status for it, in this file only.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cache_api::contract;
use storage::{StorageError, StorageErrorKind};

/// Why a request got no bytes. Cloned to everybody who waits for the same page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// S3 has no such key.
    #[error("no such object")]
    NotFound,
    /// The object has no byte in the range.
    #[error("the object has no byte in that range")]
    RangeNotSatisfiable {
        /// Size of the object, where it is known.
        object_bytes: Option<u64>,
    },
    /// S3 did not give the bytes.
    #[error("{0}")]
    Origin(String),
    /// More bytes than one request may carry.
    #[error(
        "{bytes} bytes are more than the {} that one request may carry",
        contract::REQUEST_BYTES_MAX
    )]
    TooLarge {
        /// How many there would be.
        bytes: u64,
    },
    /// It would have to be fetched, and the request forbids that.
    #[error("not in this cache")]
    NotCached,
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(&'static str),
}

impl From<StorageError> for ObjectError {
    fn from(error: StorageError) -> Self {
        match error.kind {
            StorageErrorKind::NotFound => Self::NotFound,
            StorageErrorKind::RangeNotSatisfiable => Self::RangeNotSatisfiable { object_bytes: None },
            StorageErrorKind::BadBucket
            | StorageErrorKind::AccessDenied
            | StorageErrorKind::Throttled
            | StorageErrorKind::Conflict
            | StorageErrorKind::TimedOut
            | StorageErrorKind::Unavailable
            | StorageErrorKind::Other => Self::Origin(error.to_string()),
        }
    }
}

impl ObjectError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, contract::NOT_FOUND),
            Self::RangeNotSatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, contract::RANGE_NOT_SATISFIABLE),
            Self::Origin(_) => (StatusCode::BAD_GATEWAY, contract::ORIGIN_FAILED),
            Self::NotCached => (StatusCode::GATEWAY_TIMEOUT, contract::NOT_CACHED),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, contract::TOO_LARGE),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, contract::BAD_REQUEST),
        }
    }
}

impl IntoResponse for ObjectError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let body = Json(serde_json::json!({ "error": code, "message": self.to_string() }));
        let mut response = (status, body).into_response();
        if let Self::RangeNotSatisfiable {
            object_bytes: Some(bytes),
        } = self
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{bytes}"))
        {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        response
    }
}
