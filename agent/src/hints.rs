//! "Something was committed": one signal for everybody in this agent who waits for a commit. Fed by Postgres's
//! notifications and by this agent's own commits. Only a hint: whoever waits also looks by himself, slowly.
//!
//! Not a `watch` channel: that one wakes its waiters in a random order, and a simulated run has to be the same every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metastore::{CommitHints, Metastore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The signal; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CommitSignal(Arc<Raised>);

#[derive(Debug, Default)]
struct Raised {
    times: AtomicU64,
    again: Notify,
}

/// One who listens to the signal.
#[derive(Debug)]
pub struct SignalListener {
    signal: CommitSignal,
    seen: u64,
}

impl CommitSignal {
    /// Tells everybody.
    pub fn raise(&self) {
        self.0.times.fetch_add(1, Ordering::SeqCst);
        self.0.again.notify_waiters();
    }

    /// A listener, who has heard all signals so far.
    pub fn subscribe(&self) -> SignalListener {
        SignalListener {
            signal: self.clone(),
            seen: self.times(),
        }
    }

    /// Forwards Postgres's notifications until `shutdown`.
    pub async fn forward(self, metastore: Metastore, shutdown: CancellationToken) {
        let mut hints = CommitHints::listen(&metastore);
        let forwarding = async {
            loop {
                hints.recv().await;
                self.raise();
            }
        };
        shutdown.run_until_cancelled(forwarding).await;
    }

    fn times(&self) -> u64 {
        self.0.times.load(Ordering::SeqCst)
    }
}

impl SignalListener {
    /// Returns once the signal was raised since the last time this returned. Safe to cancel.
    pub async fn changed(&mut self) {
        loop {
            let again = self.signal.0.again.notified();
            tokio::pin!(again);
            // From here on no signal is missed.
            again.as_mut().enable();
            let times = self.signal.times();
            if times != self.seen {
                self.seen = times;
                return;
            }
            again.await;
        }
    }

    /// Whatever was signalled so far is known.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.signal.times();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_signal_is_heard_once_by_everybody_who_listened_before_it() {
        let signal = CommitSignal::default();
        let (mut first, mut second) = (signal.subscribe(), signal.subscribe());
        assert!(first.changed().now_or_never().is_none());
        signal.raise();
        signal.raise();
        let mut late = signal.subscribe();
        assert!(first.changed().now_or_never().is_some());
        assert!(first.changed().now_or_never().is_none());
        second.mark_unchanged();
        assert!(second.changed().now_or_never().is_none());
        assert!(late.changed().now_or_never().is_none());
    }

    #[test]
    fn a_signal_wakes_a_listener_who_waits() {
        let signal = CommitSignal::default();
        let mut listener = signal.subscribe();
        let mut waiting = Box::pin(listener.changed());
        assert!((&mut waiting).now_or_never().is_none());
        signal.raise();
        assert!(waiting.now_or_never().is_some());
    }
}
