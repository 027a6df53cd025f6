//! Opens streams, and leaves them through their rows: first a lost stream is committed to its end, tombstone included,
//! then the row says which of our slots are part of the log, and only then the next stream is opened
//! (docs/ARCHITECTURE.md). Without Postgres all of this waits. So it does where a slot holds something that cannot be read:
//! whether that is an end is not for one agent to say. Then the agent is not ready, and its producers are told.

use std::sync::Arc;
use std::time::Duration;

use daemon::Condition;
use metastore::{CommitError, Committer, Metastore, SlotReadError, StreamProgress};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};
use types::limits::MISSING_FOOTERS_MAX;
use types::{Clock, Entropy, NodeId, Slot, SlotSeq, StreamId};

/// Wait between two tries while Postgres or S3 does not answer.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// More than an agent ever has in flight.
const SLOTS_MAX: i64 = 1_000_000;

/// The streams of one agent, one after the other.
#[derive(Clone, Debug)]
pub struct Streams {
    /// Where their rows are.
    pub metastore: Metastore,
    /// Commits a lost one to its end.
    pub committer: Committer,
    /// Under which id the agent serves.
    pub node: NodeId,
    /// Told of each stream that is opened, so that the lease names it.
    pub announce: watch::Sender<Option<StreamId>>,
    /// Whether the open stream can be written to, for the outside.
    pub condition: Condition,
    /// The same, for the writer: true while an unreadable object keeps a stream from being left.
    pub stuck: watch::Sender<bool>,
    /// The time that a stream's id begins with.
    pub clock: Arc<dyn Clock>,
    /// The rest of its id, and the jitter of retries.
    pub entropy: Arc<dyn Entropy>,
}

/// What became of a stream in which a slot was lost.
#[derive(Debug)]
pub struct Left {
    /// Its row, with the outcomes of all slots asked for.
    pub progress: StreamProgress,
    /// The stream that follows; `None`: it has not ended and goes on.
    pub next: Option<StreamId>,
}

impl Streams {
    /// Draws a stream and writes its row, however long that takes.
    pub async fn open(&self) -> StreamId {
        let stream = StreamId(self.entropy.uuid_v7(self.clock.as_ref()));
        while let Err(error) = self.metastore.open_stream(stream, self.node).await {
            warn!(%error, "a new stream is not open yet");
            sleep(self.entropy.jitter(RETRY_WAIT)).await;
        }
        self.announce.send_replace(Some(stream));
        self.condition.met();
        info!(stream.id = %stream, "stream opened");
        stream
    }

    /// Waits until the fate of slot `lost` of `stream` stands in its row, and opens the next stream if this one has
    /// ended. The outcomes are those from slot `from` on.
    pub async fn leave(&self, stream: StreamId, from: SlotSeq, lost: SlotSeq) -> Left {
        let progress = loop {
            match self.try_settle(stream, from, lost).await {
                Ok(Some(progress)) => break progress,
                Ok(None) => {}
                Err(CommitError::Slot(error)) if !error.is_retriable() => self.report_stuck(stream, &error),
                Err(error) => warn!(stream.id = %stream, %error, "a lost stream is not settled yet"),
            }
            sleep(self.entropy.jitter(RETRY_WAIT)).await;
        };
        let next = match progress.end_seq {
            Some(_) => Some(self.open().await),
            None => None,
        };
        self.condition.met();
        self.stuck.send_replace(false);
        Left { progress, next }
    }

    fn report_stuck(&self, stream: StreamId, why: &SlotReadError) {
        if !self.stuck.send_replace(true) {
            error!(stream.id = %stream, error = %why, "a slot of ours cannot be read, nothing is taken in until its stream has an end");
            self.condition.unmet(format!("stream {stream}: {why}"));
        }
    }

    async fn try_settle(
        &self,
        stream: StreamId,
        from: SlotSeq,
        lost: SlotSeq,
    ) -> Result<Option<StreamProgress>, CommitError> {
        loop {
            let Some(progress) = self.metastore.stream_progress(stream, from, SLOTS_MAX).await? else {
                return Ok(None);
            };
            if progress.end_seq.is_some() || progress.next_seq > lost {
                return Ok(Some(progress));
            }
            let mut found = Vec::new();
            for seq in progress.next_seq.0..(lost.0 + 1).min(progress.next_seq.0 + MISSING_FOOTERS_MAX as u64) {
                let seq = SlotSeq(seq);
                match self.committer.read_footer(Slot { stream, seq }).await? {
                    Some(footer) => found.push(footer),
                    None => break,
                }
            }
            if found.is_empty() {
                return Ok(None);
            }
            self.committer.commit(found).await?;
        }
    }
}
