//! Poison, which no delivery can help: a message that makes no sense, or that tells of an object which is none of ours. It goes to the
//! dead-letter queue, where a person finds it, before whoever brought it hears that it is dealt with.
//!
//! SQS would move it there as well, after `maxReceiveCount` deliveries: so many that an outage of Postgres does not fill that queue. Poison
//! that cannot be sent comes again, and ends that way. What was sent and comes again all the same, because the answer of its batch
//! was lost, lies there twice.

use storage::S3Config;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::limits::LETTER_ATTRIBUTE_CHARS_MAX;
use crate::metrics;
use crate::queue::{QueueError, QueueUrl, Sqs};

/// The dead-letter queue.
#[derive(Debug)]
pub struct DeadLetters {
    url: QueueUrl,
    s3: S3Config,
    sqs: OnceCell<Sqs>,
}

/// What ends there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// The message, or the event, as it came.
    pub(crate) body: String,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// ARN of the queue that it came from; empty: of none.
    pub(crate) event_queue: String,
    /// Its id there; empty: it had none.
    pub(crate) message_id: String,
}

impl DeadLetters {
    /// The queue at `url`, with the credentials of S3; nothing is asked yet, and no client made: a cold start does not pay for
    /// what hardly ever happens.
    pub fn new(url: QueueUrl, s3: S3Config) -> Self {
        Self {
            url,
            s3,
            sqs: OnceCell::new(),
        }
    }

    /// Whether `letter` lies in the queue before `deadline`.
    pub(crate) async fn take(&self, letter: DeadLetter, deadline: Instant) -> bool {
        let sent = timeout_at(deadline, self.send(&letter)).await;
        match sent.unwrap_or_else(|_| Err(QueueError::out_of_time("SendMessage", &self.url))) {
            Ok(()) => {
                metrics::count_dead_letter("sent");
                info!(
                    message.id = letter.message_id,
                    reason = letter.reason,
                    "poison is in the dead-letter queue"
                );
                true
            }
            Err(error) => {
                metrics::count_dead_letter("failed");
                if error.is_retriable() {
                    warn!(%error, message.id = letter.message_id, "poison comes again, it cannot be sent to the dead-letter queue now");
                } else {
                    error!(
                        %error,
                        message.id = letter.message_id,
                        "poison comes again, it cannot be sent to the dead-letter queue until somebody acts"
                    );
                }
                false
            }
        }
    }

    async fn send(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let sqs = self.sqs.get_or_init(|| Sqs::new(&self.url, &self.s3)).await;
        sqs.send(&letter.body, letter.attributes()).await
    }
}

impl DeadLetter {
    /// What a person sees beside the body. SQS takes no empty ones.
    fn attributes(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("reason", &self.reason),
            ("event_queue", &self.event_queue),
            ("message_id", &self.message_id),
        ];
        let there = all.into_iter().filter(|(_, value)| !value.is_empty());
        there.map(|(name, value)| (name, sendable(value))).collect()
    }
}

/// A text that SQS takes, whatever somebody has sent us: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>.
fn sendable(text: &str) -> String {
    let refused = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let chars = text.chars().map(|c| if refused(c) { '\u{fffd}' } else { c });
    chars.take(LETTER_ATTRIBUTE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: &str) -> DeadLetter {
        DeadLetter {
            body: "{}".to_owned(),
            reason: reason.to_owned(),
            event_queue: String::new(),
            message_id: "m-1".to_owned(),
        }
    }

    #[test]
    fn attributes_that_say_nothing_are_left_out() {
        let expected = [("reason", "why".to_owned()), ("message_id", "m-1".to_owned())];
        assert_eq!(letter("why").attributes(), expected);
    }

    #[test]
    fn names_that_a_stranger_chose_cannot_keep_a_letter_from_being_sent() {
        let reason = format!("fields [a\u{1}b\u{ffff}ü{}]", "x".repeat(10_000));
        let sent = letter(&reason).attributes().remove(0).1;
        assert!(sent.starts_with("fields [a\u{fffd}b\u{fffd}üxxx"), "{sent}");
        assert_eq!(sent.chars().count(), LETTER_ATTRIBUTE_CHARS_MAX);
    }
}
