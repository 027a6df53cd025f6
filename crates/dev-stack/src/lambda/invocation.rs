//! One invocation on its way to an instance and back.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's answer.
    Success(Bytes),
    /// It did not answer, or said that it failed.
    Failure(Failure),
}

/// A failed invocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The function reported an error: the JSON it sent.
    #[error("the function reported {}", String::from_utf8_lossy(.0))]
    Reported(Bytes),
    /// No answer within the function's timeout.
    #[error("{id} Task timed out after {:.2} seconds", timeout.as_secs_f64())]
    TimedOut {
        /// The invocation's id.
        id: Uuid,
        /// The function's timeout.
        timeout: Duration,
    },
    /// The instance ended while it worked on it.
    #[error("{id} Runtime exited: {how}")]
    Exited {
        /// The invocation's id.
        id: Uuid,
        /// The process's end.
        how: String,
    },
    /// Too many invocations wait, or the function is stopped.
    #[error("Rate Exceeded.")]
    Throttled,
}

impl Failure {
    /// The payload that the Invoke API answers with.
    pub fn payload(&self) -> Bytes {
        let error_type = match self {
            Self::Reported(body) => return body.clone(),
            Self::TimedOut { .. } => "Sandbox.Timedout",
            Self::Exited { .. } => "Runtime.ExitError",
            Self::Throttled => "TooManyRequestsException",
        };
        json!({"errorMessage": self.to_string(), "errorType": error_type})
            .to_string()
            .into()
    }
}

/// What waits for an instance.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) id: Uuid,
    pub(super) payload: Bytes,
    pub(super) reply: oneshot::Sender<Outcome>,
}

impl Invocation {
    pub(super) fn new(payload: Bytes) -> (Self, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        (
            Self {
                id: Uuid::new_v4(),
                payload,
                reply,
            },
            outcome,
        )
    }
}
