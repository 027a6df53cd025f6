//! SDK error -> `StorageError`, in this file only.
//!
//! Codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{StorageError, StorageErrorKind};

/// Names the request and says what can be done about its failure.
pub(crate) fn map<E>(operation: &'static str, key: &str, error: &SdkError<E, HttpResponse>) -> StorageError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let kind = kind_of(error);
    StorageError {
        kind,
        operation,
        key: key.to_owned(),
        message: message_of(kind, error),
    }
}

/// The status of the answer, if there was one.
pub(crate) fn status_of<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn kind_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> StorageErrorKind {
    match error {
        SdkError::TimeoutError(_) => StorageErrorKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => StorageErrorKind::TimedOut,
        // A request that cannot be sent at all, such as one to a URL without a host.
        SdkError::DispatchFailure(failure) if failure.is_user() => StorageErrorKind::Other,
        SdkError::DispatchFailure(_) => StorageErrorKind::Unavailable,
        SdkError::ResponseError(_) | SdkError::ServiceError(_) => {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            answered(status_of(error).unwrap_or(0), code.unwrap_or_default())
        }
        // `ConstructionFailure`, and whatever the SDK adds.
        _ => StorageErrorKind::Other,
    }
}

/// The kind of an answer, by code where the status alone says too little.
fn answered(status: u16, code: &str) -> StorageErrorKind {
    use StorageErrorKind::{
        AccessDenied, BadBucket, Conflict, NotFound, Other, RangeNotSatisfiable, Throttled, TimedOut, Unavailable,
    };
    match (status, code) {
        (_, "NoSuchBucket" | "InvalidBucketName" | "PermanentRedirect" | "AuthorizationHeaderMalformed") => BadBucket,
        (_, "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests") => {
            Throttled
        }
        // S3 says 400 when the body did not arrive in time.
        (_, "RequestTimeout") => TimedOut,
        (_, "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch") => AccessDenied,
        // The bucket lives in another region; the SDK does not follow.
        (300..=399, _) => BadBucket,
        (401 | 403, _) => AccessDenied,
        (404, _) => NotFound,
        (408, _) => TimedOut,
        (409, _) => Conflict,
        (416, _) => RangeNotSatisfiable,
        (429, _) => Throttled,
        (500..=599, _) => Unavailable,
        // No status at all: the answer was cut off or was not HTTP.
        (0, _) => Unavailable,
        (_, _) => Other,
    }
}

fn message_of<E>(kind: StorageErrorKind, error: &SdkError<E, HttpResponse>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let region = error
        .raw_response()
        .and_then(|response| response.headers().get("x-amz-bucket-region"));
    let said = match error.as_service_error().map(|e| (e.code(), e.message())) {
        Some((Some(code), Some(message))) => format!("{code}: {message}"),
        Some((Some(code), None)) => code.to_owned(),
        _ => without_code(error),
    };
    match region {
        Some(region) if kind == StorageErrorKind::BadBucket => {
            format!("{said} (the bucket is in region {region}: YAKS_S3_REGION)")
        }
        _ => said,
    }
}

/// An answer without a body carries no code: its status is all there is.
fn without_code<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: std::error::Error + 'static,
{
    match (error, status_of(error)) {
        (SdkError::ServiceError(_), Some(status)) => format!("status {status}"),
        _ => chain(error),
    }
}

/// An error and what is behind it: the SDK's own text says "dispatch failure", the last cause "connection refused".
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
