//! The schedule: asks the function to sweep, as an EventBridge rule does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use types::Clock;
use uuid::Uuid;

use crate::events::rfc3339;
use crate::lambda::{Function, Outcome};

/// Sweeps for ever. A sweep that is due while the function is stopped is left out.
pub(crate) async fn schedule(interval: Duration, function: Arc<Function>, clock: Arc<dyn Clock>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !function.is_running() {
            continue;
        }
        let event = scheduled_event(&rfc3339(clock.now()));
        if let Outcome::Failure(error) = function.invoke(event.to_string().into()).await {
            tracing::warn!(%error, "a sweep failed; the next one tries again");
        }
    }
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>
fn scheduled_event(time: &str) -> Value {
    json!({
        "version": "0",
        "id": Uuid::new_v4(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": time,
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:000000000000:rule/yaks-sweep"],
        "detail": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_type_reads_our_event() {
        let event = scheduled_event("2024-01-01T00:00:00.000Z");
        let read: aws_lambda_events::event::eventbridge::EventBridgeEvent = serde_json::from_value(event).unwrap();
        assert_eq!(
            (read.detail_type.as_str(), read.source.as_str()),
            ("Scheduled Event", "aws.events")
        );
    }
}
