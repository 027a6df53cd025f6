//! SDK error -> `QueueError`, in this file only.
//!
//! Codes: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::url::QueueUrl;

/// A request to the queue that did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} {url}: {message}")]
pub struct QueueError {
    /// What can be done about it.
    pub kind: QueueErrorKind,
    /// The SQS operation, as AWS names it (`ReceiveMessage`).
    pub operation: &'static str,
    /// The queue.
    pub url: QueueUrl,
    /// Code and message of the service or of the client, and what a person may do.
    pub message: String,
}

/// What can be done about a `QueueError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueErrorKind {
    /// No such queue: final until somebody acts.
    Missing,
    /// Credentials or permissions: final until somebody acts.
    AccessDenied,
    /// Not reached, throttled or 5xx: try again.
    Unavailable,
    /// Anything else.
    Other,
}

impl QueueError {
    /// Whether the same request may succeed later without anybody acting.
    pub fn is_retriable(&self) -> bool {
        self.kind == QueueErrorKind::Unavailable
    }

    /// A request that could not be made.
    pub(crate) fn local(operation: &'static str, url: &QueueUrl, error: &dyn std::error::Error) -> Self {
        Self {
            kind: QueueErrorKind::Other,
            operation,
            url: url.clone(),
            message: chain(error),
        }
    }

    /// A request that was given up before it was answered.
    pub(crate) fn out_of_time(operation: &'static str, url: &QueueUrl) -> Self {
        Self {
            kind: QueueErrorKind::Unavailable,
            operation,
            url: url.clone(),
            message: "out of time".to_owned(),
        }
    }
}

/// Names the request and says what can be done about its failure. `region` is the one that the request was signed for.
pub(crate) fn sdk_error<E>(operation: &'static str, url: &QueueUrl, region: &str, error: &SdkError<E>) -> QueueError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let kind = kind_of(error);
    let said = match error.as_service_error().map(|e| (e.code(), e.message())) {
        Some((Some(code), Some(message))) => format!("{code}: {message}"),
        Some((Some(code), None)) => code.to_owned(),
        Some((None, _)) => format!("status {}", status_of(error).unwrap_or_default()),
        None => chain(error),
    };
    QueueError {
        kind,
        operation,
        url: url.clone(),
        message: format!("{said}{}", advice(kind, operation, region)),
    }
}

fn advice(kind: QueueErrorKind, operation: &str, region: &str) -> String {
    let (setting, actions) = match operation {
        "SendMessage" => ("YAKS_DEAD_LETTER_QUEUE_URL", "sqs:SendMessage"),
        _ => (
            "YAKS_EVENT_QUEUE_URL",
            "sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes",
        ),
    };
    match kind {
        QueueErrorKind::Missing => {
            format!(" (asked in region {region}: is {setting} the URL of a queue there, or else YAKS_S3_REGION wrong?)")
        }
        QueueErrorKind::AccessDenied => {
            format!(" (signed for region {region}; the role, or YAKS_S3_ACCESS_KEY, needs {actions} on the queue)")
        }
        QueueErrorKind::Unavailable | QueueErrorKind::Other => String::new(),
    }
}

fn kind_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> QueueErrorKind {
    match error {
        SdkError::TimeoutError(_) => QueueErrorKind::Unavailable,
        // A request that cannot be sent at all, such as one without credentials.
        SdkError::DispatchFailure(failure) if failure.is_user() => QueueErrorKind::Other,
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => QueueErrorKind::Unavailable,
        SdkError::ServiceError(_) => {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            answered(status_of(error).unwrap_or_default(), code.unwrap_or_default())
        }
        // `ConstructionFailure`, and whatever the SDK adds.
        _ => QueueErrorKind::Other,
    }
}

/// The kind of an answer, by code where the status alone says too little.
fn answered(status: u16, code: &str) -> QueueErrorKind {
    match (status, code) {
        (_, "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist") => QueueErrorKind::Missing,
        (_, "RequestThrottled" | "ThrottlingException" | "Throttling" | "OverLimit") => QueueErrorKind::Unavailable,
        (
            _,
            "AccessDenied"
            | "AccessDeniedException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch",
        ) => QueueErrorKind::AccessDenied,
        (401 | 403, _) => QueueErrorKind::AccessDenied,
        (408 | 429 | 500..=599, _) => QueueErrorKind::Unavailable,
        (_, _) => QueueErrorKind::Other,
    }
}

fn status_of<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// An error and what is behind it: the SDK's own text says "dispatch failure", the last cause "connection refused".
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
