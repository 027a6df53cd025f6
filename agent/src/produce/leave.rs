//! Opens streams, and leaves them through their rows: first a lost stream is committed to its end, tombstone included,
//! then the row says which of our slots are part of the log, and only then the next stream is opened
//! (docs/ARCHITECTURE.md). Without Postgres all of this waits.
//!
//! A slot may hold something that is no object of its stream: a file that somebody mislaid. No build will ever commit it or
//! what lies behind it, so once all before it is committed the stream is over for us, as with a tombstone; its row has no
//! end, and stays for the sweep to report. An object of a newer version is different: a newer function may commit it, and
//! then what we put behind it. So that is waited for; meanwhile the agent is not ready, and its producers are told. Where somebody
//! has taken such a file away, the slot is free again, and a tombstone of ours ends the stream there.

use std::sync::Arc;
use std::time::Duration;

use commit::SlotFooter;
use daemon::Condition;
use metastore::{Committer, Metastore, SlotReadError, StreamProgress};
use storage::ObjectStore;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};
use types::limits::MISSING_FOOTERS_MAX;
use types::{Clock, Entropy, NodeId, Slot, SlotSeq, StreamId};

use crate::produce::uploader::end_stream;

/// Wait between two tries while Postgres or S3 does not answer.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// So often something strange has to be read before it is believed: not a moment's fault of the network.
const STRANGE_READS: u32 = 3;
/// More than an agent ever has in flight.
const SLOTS_MAX: i64 = 1_000_000;

/// The streams of one agent, one after the other.
#[derive(Clone, Debug)]
pub struct Streams {
    /// Where their rows are.
    pub metastore: Metastore,
    /// Where their slots are.
    pub store: Arc<dyn ObjectStore>,
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

/// What one look at a lost stream brought.
enum Settled {
    /// The row says what became of the slot.
    Told(StreamProgress),
    /// Something is still missing.
    NotYet,
    /// All before the lost slot is committed, and what lies in it cannot be read.
    Unreadable(StreamProgress, SlotReadError),
}

/// What became of a stream in which a slot was lost.
#[derive(Debug)]
pub struct Left {
    /// Its row, with the outcomes of all slots asked for.
    pub progress: StreamProgress,
    /// The stream that follows; `None`: this one goes on.
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

    /// Waits until the fate of slot `lost` of `stream` stands in its row, and opens the next stream if this one is
    /// over. The outcomes are those from slot `from` on.
    pub async fn leave(&self, stream: StreamId, from: SlotSeq, lost: SlotSeq) -> Left {
        let mut strange_reads = 0;
        let (progress, over) = loop {
            match self.try_settle(stream, from, lost).await {
                Ok(Settled::Told(progress)) => {
                    let over = progress.end_seq.is_some();
                    break (progress, over);
                }
                Ok(Settled::NotYet) => {}
                Ok(Settled::Unreadable(progress, error)) => {
                    strange_reads += 1;
                    if strange_reads >= STRANGE_READS && error.is_no_object() {
                        error!(stream.id = %stream, %error, "no object of ours lies in a slot of ours, the stream is left");
                        break (progress, true);
                    }
                    if strange_reads >= STRANGE_READS {
                        self.report_stuck(stream, &error);
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(stream.id = %stream, error, "a lost stream is not settled yet");
                }
            }
            sleep(self.entropy.jitter(RETRY_WAIT)).await;
        };
        let next = if over { Some(self.open().await) } else { None };
        self.condition.met();
        self.stuck.send_replace(false);
        Left { progress, next }
    }

    /// Ends the stream at a slot that was taken and is free again: somebody took away what should not have been there, or it was
    /// committed and merged a moment ago, and then the row says so. No PUT of ours is under way, and S3 decides as ever.
    async fn end_at(&self, slot: Slot) -> Option<SlotFooter> {
        end_stream(
            self.store.as_ref(),
            self.entropy.as_ref(),
            self.committer.cluster(),
            slot,
        )
        .await
    }

    fn report_stuck(&self, stream: StreamId, why: &SlotReadError) {
        if !self.stuck.send_replace(true) {
            error!(
                stream.id = %stream,
                error = %why,
                "a slot of ours cannot be read, nothing is taken in until its stream has an end"
            );
            self.condition.unmet(format!("stream {stream}: {why}"));
        }
    }

    async fn try_settle(&self, stream: StreamId, from: SlotSeq, lost: SlotSeq) -> anyhow::Result<Settled> {
        loop {
            let Some(progress) = self.metastore.stream_progress(stream, from, SLOTS_MAX).await? else {
                return Ok(Settled::NotYet);
            };
            if progress.end_seq.is_some() || progress.next_seq > lost {
                return Ok(Settled::Told(progress));
            }
            let mut found = Vec::new();
            for seq in progress.next_seq.0..(lost.0 + 1).min(progress.next_seq.0 + MISSING_FOOTERS_MAX as u64) {
                let seq = SlotSeq(seq);
                match self.committer.read_footer(Slot { stream, seq }).await {
                    Ok(Some(footer)) => found.push(footer),
                    Ok(None) => break,
                    // A slot below is ours: its watcher has the footer and commits it.
                    Err(error) if seq == lost && found.is_empty() && !error.is_retriable() => {
                        return Ok(Settled::Unreadable(progress, error));
                    }
                    Err(error) if found.is_empty() => return Err(error.into()),
                    Err(_) => break,
                }
            }
            if found.is_empty() && progress.next_seq == lost {
                found.extend(self.end_at(Slot { stream, seq: lost }).await);
            }
            if found.is_empty() {
                return Ok(Settled::NotYet);
            }
            self.committer.commit(found).await?;
        }
    }
}
