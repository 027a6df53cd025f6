//! The event source mapping: takes events out of the queue and invokes the function with them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use types::Clock;

use super::notification::sqs_event;
use super::queue::{EventQueue, Received};
use crate::lambda::{Function, Outcome};

/// SQS's limit for a batch without a batching window.
const BATCH_MESSAGES_MAX: usize = 10;

/// How an event reaches the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EventSource {
    /// S3 to SQS to the function, in batches with partial responses: as deployed.
    #[default]
    Sqs,
    /// S3 straight to the function, one event an invocation.
    S3,
}

/// As deployed: longer than the 2 s after which an agent commits a slot itself (`YAKS_COMMIT_STALL_MS`), shorter than the sweep's grace.
const FALLBACK_DELAY: Duration = Duration::from_secs(5);

/// How long the queue holds an event back where agents commit on `commit_path`. Where they commit first, the event is for a slot whose
/// agent has died: one that came at once would find the slot uncommitted, and have the function read its object. Without a queue there
/// is no delay.
pub fn delay_for(source: EventSource, commit_path: Option<&str>) -> Duration {
    match (source, commit_path) {
        (EventSource::Sqs, Some("invoke" | "inline")) => FALLBACK_DELAY,
        (EventSource::Sqs | EventSource::S3, _) => Duration::ZERO,
    }
}

/// Delivers for ever; several of these run at once, as many as the function has instances.
pub async fn deliver(source: EventSource, queue: Arc<EventQueue>, function: Arc<Function>, clock: Arc<dyn Clock>) {
    loop {
        function.running().await;
        let count_max = match source {
            EventSource::Sqs => BATCH_MESSAGES_MAX,
            EventSource::S3 => 1,
        };
        let batch = queue.receive(count_max, Instant::now(), clock.now());
        if batch.is_empty() {
            queue.changed().await;
            continue;
        }
        let payload = match source {
            EventSource::Sqs => sqs_event(&batch).to_string(),
            EventSource::S3 => batch[0].body.clone(),
        };
        match function.invoke(payload.into()).await {
            Outcome::Success(answer) => settle(source, &queue, &batch, &answer),
            Outcome::Failure(error) => {
                tracing::warn!(%error, events = batch.len(), "the function failed; its events come back later");
            }
        }
    }
}

/// Deletes what succeeded; the rest comes back when its visibility timeout ends.
fn settle(source: EventSource, queue: &EventQueue, batch: &[Received], answer: &[u8]) {
    let failed = match source {
        EventSource::S3 => Some(HashSet::new()),
        EventSource::Sqs => failed_items(answer),
    };
    let Some(failed) = failed else {
        tracing::warn!(answer = %String::from_utf8_lossy(answer), "not a batch response: the whole batch comes back");
        return;
    };
    for message in batch {
        if failed.contains(&message.id.to_string()) {
            tracing::debug!(message.id = %message.id, "the function refused an event; it comes back later");
        } else {
            queue.delete(message);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchResponse {
    #[serde(default)]
    batch_item_failures: Option<Vec<BatchItemFailure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

/// As AWS reads it: null, `{}` and an empty list mean that all went well; what cannot be read means that nothing did.
fn failed_items(answer: &[u8]) -> Option<HashSet<String>> {
    let response: Option<BatchResponse> = serde_json::from_slice(answer).ok()?;
    let failures = response
        .and_then(|response| response.batch_item_failures)
        .unwrap_or_default();
    let names: HashSet<String> = failures.into_iter().map(|failure| failure.item_identifier).collect();
    (!names.contains("")).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_where_agents_commit_first_and_there_is_a_queue() {
        for (path, waits) in [
            (None, false),
            (Some("event"), false),
            (Some("invoke"), true),
            (Some("inline"), true),
        ] {
            assert_eq!(!delay_for(EventSource::Sqs, path).is_zero(), waits, "{path:?}");
            assert!(delay_for(EventSource::S3, path).is_zero(), "{path:?}");
        }
    }

    #[test]
    fn batch_responses_are_read_as_aws_reads_them() {
        let none = HashSet::new();
        for all_well in [
            "null",
            "{}",
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
        ] {
            assert_eq!(failed_items(all_well.as_bytes()), Some(none.clone()), "{all_well}");
        }
        let one = br#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#;
        assert_eq!(failed_items(one), Some(HashSet::from(["a".to_owned()])));
        for nothing_well in [
            "",
            "[]x",
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            "\"text\"",
        ] {
            assert_eq!(failed_items(nothing_well.as_bytes()), None, "{nothing_well}");
        }
    }
}
