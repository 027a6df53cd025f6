//! The same handler without Lambda, for ECS, Kubernetes and LocalStack: the process reads the event queue itself, and sweeps
//! on a schedule of its own.
//!
//! It does what Lambda's event source mapping does: messages become the event that a function gets, those that the answer
//! does not give back are deleted, the others come again when their visibility timeout ends. So nothing is lost with the
//! process, and several may read one queue.

mod pause;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use futures::future::{join, join_all};
use serde_json::json;
use storage::S3Config;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::event::SWEEP_REQUEST_V1;
use crate::handler::{Answer, handle};
use crate::limits::{INVOCATION_TIME_DEFAULT, WORKER_LANES};
use crate::queue::{QueueError, QueueFacts, QueueUrl, Sqs};
use crate::{Context, metrics};
use pause::Pause;

/// Serves the queue at `url` until `shutdown`, then finishes what is in hand. A sweep is due every `sweep_interval`; zero: never.
///
/// Fails when the queue is not to be had and nothing but a person will change that; an outage is waited for.
pub async fn run(
    url: &QueueUrl,
    s3: &S3Config,
    sweep_interval: Duration,
    context: Arc<Context>,
    shutdown: CancellationToken,
) -> Result<(), QueueError> {
    let sqs = Sqs::new(url, s3).await;
    let Some(facts) = look_up(&sqs, &context, &shutdown).await? else {
        return Ok(());
    };
    info!(queue.url = %url, queue.arn = facts.arn, "reading the event queue");
    if facts.visibility_timeout <= INVOCATION_TIME_DEFAULT {
        warn!(
            visibility_timeout_ms = facts.visibility_timeout.as_millis(),
            "the queue's visibility timeout is shorter than a batch may take: messages will be worked on twice at once"
        );
    }
    let worker = Worker {
        sqs,
        facts,
        context,
        shutdown,
    };
    let lanes = join_all((0..WORKER_LANES).map(|_| worker.drain()));
    join(lanes, worker.sweep(sweep_interval)).await;
    info!("stopped");
    Ok(())
}

/// Waits for the queue to answer; `None`: it is time to stop.
async fn look_up(sqs: &Sqs, context: &Context, shutdown: &CancellationToken) -> Result<Option<QueueFacts>, QueueError> {
    let mut pause = Pause::default();
    loop {
        match shutdown.run_until_cancelled(sqs.facts()).await {
            None => return Ok(None),
            Some(Ok(facts)) => return Ok(Some(facts)),
            Some(Err(error)) if !error.is_retriable() => return Err(error),
            Some(Err(error)) => pause.after(&error, context, shutdown).await,
        }
    }
}

struct Worker {
    sqs: Sqs,
    facts: QueueFacts,
    context: Arc<Context>,
    shutdown: CancellationToken,
}

impl Worker {
    /// Receives, handles and deletes, one batch at a time, until it is time to stop.
    async fn drain(&self) {
        let mut pause = Pause::default();
        // Only the wait is cut short: a batch that was received is finished.
        while let Some(received) = self.shutdown.run_until_cancelled(self.sqs.receive()).await {
            match received {
                Ok(messages) => {
                    pause.end();
                    if !messages.is_empty() {
                        self.serve(&messages).await;
                    }
                }
                Err(error) => pause.after(&error, &self.context, &self.shutdown).await,
            }
        }
    }

    async fn serve(&self, messages: &[Message]) {
        let kept = self.kept(messages).await;
        let is_kept = |message: &&Message| kept.iter().any(|id| message.message_id.as_deref() == Some(id));
        let (kept, done): (Vec<&Message>, Vec<&Message>) = messages.iter().partition(is_kept);
        metrics::count_messages("kept", kept.len());
        if !done.is_empty() {
            self.delete(&done).await;
        }
    }

    /// Ids of the messages that another delivery may help.
    async fn kept(&self, messages: &[Message]) -> Vec<String> {
        let event = self.sqs.event(&self.facts, messages);
        let payload = serde_json::to_value(event).expect("texts are JSON");
        match handle(&self.context, payload, deadline()).await {
            Ok(Answer::Queue(response)) => {
                let failures = response.batch_item_failures.into_iter();
                failures.map(|failure| failure.item_identifier).collect()
            }
            // An answer that is none gives nothing back and deletes nothing, as Lambda reads it.
            other => {
                error!(
                    ?other,
                    messages = messages.len(),
                    "not an answer to a queue, all messages come back"
                );
                messages
                    .iter()
                    .filter_map(|message| message.message_id.clone())
                    .collect()
            }
        }
    }

    /// What cannot be deleted comes back, and is found to be committed.
    async fn delete(&self, done: &[&Message]) {
        match self.sqs.delete(done).await {
            Ok(failed) => {
                metrics::count_messages("deleted", done.len() - failed);
                metrics::count_messages("undeleted", failed);
            }
            Err(error) => {
                metrics::count_messages("undeleted", done.len());
                metrics::count_queue_error(error.operation);
                warn!(%error, messages = done.len(), "messages that are dealt with come back, they could not be deleted");
            }
        }
    }

    /// Asks for a sweep now and every `every`, as the schedule of a deployed function does.
    async fn sweep(&self, every: Duration) {
        if every.is_zero() {
            return;
        }
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let request = json!({"yaks": SWEEP_REQUEST_V1});
            if let Err(error) = handle(&self.context, request, deadline()).await {
                warn!(%error, "a sweep failed, the next one tries again");
            }
        }
    }
}

fn deadline() -> Instant {
    Instant::now() + INVOCATION_TIME_DEFAULT
}
