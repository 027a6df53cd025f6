//! What a worker does while its queue does not answer: it says so, and asks again, less and less often.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::limits::{QUEUE_PAUSE_MAX, QUEUE_PAUSE_MIN};
use crate::queue::QueueError;
use crate::{Context, metrics};

/// The waits of an outage, each twice the one before.
#[derive(Default)]
pub(super) struct Pause {
    last: Option<Duration>,
}

impl Pause {
    /// Says what is wrong and waits; the order to stop cuts the wait short.
    pub(super) async fn after(&mut self, error: &QueueError, context: &Context, shutdown: &CancellationToken) {
        let pause = self
            .last
            .map_or(QUEUE_PAUSE_MIN, |last| (2 * last).min(QUEUE_PAUSE_MAX));
        self.last = Some(pause);
        let wait = context.entropy.jitter(pause);
        metrics::count_queue_error(error.operation);
        if error.is_retriable() {
            warn!(%error, wait_ms = wait.as_millis(), "the event queue cannot be read now");
        } else {
            error!(%error, wait_ms = wait.as_millis(), "the event queue cannot be read until somebody acts");
        }
        let _ = shutdown.run_until_cancelled(sleep(wait)).await;
    }

    /// The queue answers.
    pub(super) fn end(&mut self) {
        if self.last.take().is_some() {
            info!("the event queue answers again");
        }
    }
}
