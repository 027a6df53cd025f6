//! One invocation: event in, answer out. One bad item never fails its neighbours: a queue gets back exactly the
//! messages that may succeed later, and everything else is dealt with for good: committed, ignored, or, as poison, sent to the
//! dead-letter queue.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use commit::invoke::CommitResponse;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;
use telemetry::TraceContext;
use tokio::time::Instant;
use tracing::{Instrument, debug_span, warn};
use types::{Clock, ObjectKey};

use crate::dead_letters::DeadLetter;
use crate::error::HandlerError;
use crate::event::{self, Event, EventError, QueueMessage};
use crate::limits::{ANSWER_MARGIN, INVOCATION_TIME_DEFAULT, LETTERS_AT_ONCE_MAX};
use crate::materialize::{Fate, materialize};
use crate::sweep::{self, SweepSummary};
use crate::{Context, invoke, metrics};

/// What the function answers; every kind of event has its own.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To SQS: the messages to be brought again.
    Queue(SqsBatchResponse),
    /// To an agent: what became of its slots.
    Commit(CommitResponse),
    /// To S3 and EventBridge, who do not listen: fates and how many objects met each, or that the event is a dead letter.
    Objects(BTreeMap<&'static str, usize>),
    /// To the schedule.
    Sweep(SweepSummary),
    /// Nothing was asked.
    Nothing,
}

/// Serves one invocation of Lambda, within its deadline.
pub async fn invoked(context: &Context, event: LambdaEvent<Value>) -> Result<Answer, HandlerError> {
    let deadline = Instant::now() + time_left(event.context.deadline, context.clock.as_ref());
    let span = debug_span!("invocation", request.id = event.context.request_id);
    let xray = event.context.xray_trace_id.as_deref();
    telemetry::follow(&span, xray.and_then(TraceContext::parse_xray));
    handle(context, event.payload, deadline)
        .instrument(span)
        .await
        .inspect_err(|error| warn!(%error, "invocation failed"))
}

/// Serves one event; what is not done by `deadline` is left for another delivery.
pub async fn handle(context: &Context, payload: Value, deadline: Instant) -> Result<Answer, HandlerError> {
    // The sandbox may have slept for longer than a token lasts.
    context.metastore.renew_login().await?;
    match event::parse(&payload) {
        Ok(Event::Objects(keys)) => objects(context, &keys, &payload, deadline).await,
        Ok(Event::Queue(messages)) => Ok(Answer::Queue(queue(context, messages, deadline).await)),
        Ok(Event::Commit(request)) => Ok(Answer::Commit(invoke::commit(context, request, deadline).await?)),
        Ok(Event::Sweep) => Ok(Answer::Sweep(sweep::run(context, deadline).await?)),
        Ok(Event::Nothing) => Ok(Answer::Nothing),
        Err(error) => nonsense(context, error, &payload, deadline).await,
    }
}

async fn objects(
    context: &Context,
    keys: &[ObjectKey],
    payload: &Value,
    deadline: Instant,
) -> Result<Answer, HandlerError> {
    let fates = materialize(context, keys, deadline).await;
    let mut counts = BTreeMap::new();
    for fate in fates.values() {
        *counts.entry(fate.name()).or_default() += 1;
    }
    if let Some(failed) = counts.get(Fate::Retry.name()) {
        return Err(HandlerError::Objects {
            failed: *failed,
            objects: fates.len(),
        });
    }
    if let Some(reason) = junk(keys, &fates)
        && let Some(queue) = &context.dead_letters
        && !queue.take(letter_of(payload, reason.clone()), deadline).await
    {
        return Err(HandlerError::DeadLetter { reason });
    }
    Ok(Answer::Objects(counts))
}

/// An event that cannot be read. Who asks for something hears of it, as does everybody where there is no dead-letter queue.
async fn nonsense(
    context: &Context,
    error: EventError,
    payload: &Value,
    deadline: Instant,
) -> Result<Answer, HandlerError> {
    metrics::count_bad_event();
    let queue = context.dead_letters.as_ref();
    let Some(queue) = queue.filter(|_| event::is_notification(payload)) else {
        return Err(error.into());
    };
    warn!(%error, "poison: an event that makes no sense");
    if queue.take(letter_of(payload, error.to_string()), deadline).await {
        Ok(Answer::Objects(BTreeMap::from([("dead_letter", 1)])))
    } else {
        Err(error.into())
    }
}

async fn queue(context: &Context, messages: Vec<QueueMessage>, deadline: Instant) -> SqsBatchResponse {
    for message in &messages {
        if let Err(error) = &message.objects {
            metrics::count_bad_event();
            warn!(%error, message.id = message.id, "poison: an event that makes no sense");
        }
    }
    let keys = messages.iter().flat_map(|message| message.objects.iter().flatten());
    let fates = materialize(context, keys, deadline).await;
    // Collected and boxed: as a lazy iterator of closures the whole would not be seen to be `Send`.
    let ends: Vec<_> = messages
        .into_iter()
        .map(|message| end(context, message, &fates, deadline).boxed())
        .collect();
    let mut failed = stream::iter(ends).buffered(LETTERS_AT_ONCE_MAX);
    let mut response = SqsBatchResponse::default();
    while let Some(id) = failed.next().await {
        id.into_iter().for_each(|id| response.add_failure(id));
    }
    response
}

/// Deals with a message whose objects have met their fates; its id if it has to come again.
async fn end(
    context: &Context,
    message: QueueMessage,
    fates: &BTreeMap<ObjectKey, Fate>,
    deadline: Instant,
) -> Option<String> {
    let reason = match &message.objects {
        Ok(keys) if keys.iter().any(|key| fates.get(key) == Some(&Fate::Retry)) => return Some(message.id),
        Ok(keys) => junk(keys, fates)?,
        Err(error) => error.to_string(),
    };
    let letter = DeadLetter {
        body: message.body,
        reason,
        event_queue: message.queue_arn,
        message_id: message.id.clone(),
    };
    let taken = context.dead_letters.as_ref()?.take(letter, deadline).await;
    (!taken).then_some(message.id)
}

/// The first of `keys` under which lies what no agent of ours has written, and never will: a person should look who does.
fn junk(keys: &[ObjectKey], fates: &BTreeMap<ObjectKey, Fate>) -> Option<String> {
    keys.iter().find_map(|key| match fates.get(key)? {
        fate @ (Fate::Foreign | Fate::Unreadable) => Some(format!("{} object {key}", fate.name())),
        _ => None,
    })
}

/// What was told without a queue in between.
fn letter_of(payload: &Value, reason: String) -> DeadLetter {
    DeadLetter {
        body: payload.to_string(),
        reason,
        event_queue: String::new(),
        message_id: String::new(),
    }
}

/// Time until the deadline that Lambda gives (in ms since 1970), less what the answer takes.
fn time_left(deadline_ms: u64, clock: &dyn Clock) -> Duration {
    if deadline_ms == 0 {
        return INVOCATION_TIME_DEFAULT;
    }
    let now_ms = u64::try_from(clock.now().0).unwrap_or_default();
    Duration::from_millis(deadline_ms.saturating_sub(now_ms)).saturating_sub(ANSWER_MARGIN)
}
