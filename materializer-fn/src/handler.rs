//! One invocation: event in, answer out. One bad item never fails its neighbours: a queue gets back exactly the
//! messages that may succeed later, and everything else is dealt with for good.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use commit::invoke::CommitResponse;
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;
use telemetry::TraceContext;
use tokio::time::Instant;
use tracing::{Instrument, debug_span, warn};
use types::{Clock, ObjectKey};

use crate::error::HandlerError;
use crate::event::{self, Event, QueueMessage};
use crate::limits::{ANSWER_MARGIN, INVOCATION_TIME_DEFAULT};
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
    /// To S3 and EventBridge, who do not listen: fates and how many objects met each.
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
    match event::parse(payload).inspect_err(|_| metrics::count_bad_event())? {
        Event::Objects(keys) => objects(context, &keys, deadline).await,
        Event::Queue(messages) => Ok(Answer::Queue(queue(context, &messages, deadline).await)),
        Event::Commit(request) => Ok(Answer::Commit(invoke::commit(context, request, deadline).await?)),
        Event::Sweep => Ok(Answer::Sweep(sweep::run(context, deadline).await?)),
        Event::Nothing => Ok(Answer::Nothing),
    }
}

async fn objects(context: &Context, keys: &[ObjectKey], deadline: Instant) -> Result<Answer, HandlerError> {
    let fates = materialize(context, keys, deadline).await;
    let mut counts = BTreeMap::new();
    for fate in fates.values() {
        *counts.entry(fate.name()).or_default() += 1;
    }
    match counts.get(Fate::Retry.name()) {
        Some(failed) => Err(HandlerError::Objects {
            failed: *failed,
            objects: fates.len(),
        }),
        None => Ok(Answer::Objects(counts)),
    }
}

async fn queue(context: &Context, messages: &[QueueMessage], deadline: Instant) -> SqsBatchResponse {
    for message in messages {
        if let Err(error) = &message.objects {
            metrics::count_bad_event();
            warn!(%error, message.id = message.id, "ignoring a message that makes no sense");
        }
    }
    let keys = messages.iter().flat_map(|message| message.objects.iter().flatten());
    let fates = materialize(context, keys, deadline).await;
    let mut response = SqsBatchResponse::default();
    for message in messages {
        let mut keys = message.objects.iter().flatten();
        if keys.any(|key| fates.get(key) == Some(&Fate::Retry)) {
            response.add_failure(&message.id);
        }
    }
    response
}

/// Time until the deadline that Lambda gives (in ms since 1970), less what the answer takes.
fn time_left(deadline_ms: u64, clock: &dyn Clock) -> Duration {
    if deadline_ms == 0 {
        return INVOCATION_TIME_DEFAULT;
    }
    let now_ms = u64::try_from(clock.now().0).unwrap_or_default();
    Duration::from_millis(deadline_ms.saturating_sub(now_ms)).saturating_sub(ANSWER_MARGIN)
}
