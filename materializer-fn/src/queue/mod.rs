//! SQS: for a worker, which reads the event queue without Lambda, and for poison, which goes to the dead-letter queue.

mod error;
mod sqs;
mod url;

pub use error::{QueueError, QueueErrorKind};
pub(crate) use sqs::{QueueFacts, Sqs};
pub use url::QueueUrl;
