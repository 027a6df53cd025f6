//! "Something was committed": one signal for everybody in this agent who waits for a commit. Fed by Postgres's
//! notifications and by this agent's own commits. Only a hint: whoever waits also looks by himself, slowly.

use metastore::{CommitHints, Metastore};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The signal; cheap to clone.
#[derive(Clone, Debug)]
pub struct CommitSignal(watch::Sender<u64>);

impl Default for CommitSignal {
    fn default() -> Self {
        Self(watch::channel(0).0)
    }
}

impl CommitSignal {
    /// Tells everybody.
    pub fn raise(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A receiver whose `changed()` returns at the next signal.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
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
}
