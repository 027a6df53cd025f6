//! A stream is left through its row: first it is committed to its end, tombstone included, then the row says which of
//! our slots are part of the log. Only then the next stream is opened (docs/ARCHITECTURE.md). Without Postgres this waits.

use std::time::Duration;

use metastore::{CommitError, Committer, Metastore, StreamProgress};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};
use types::limits::MISSING_FOOTERS_MAX;
use types::{NodeId, Slot, SlotSeq, StreamId};
use uuid::Uuid;

/// Wait between two tries while Postgres or S3 does not answer.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// More than an agent ever has in flight.
const SLOTS_MAX: i64 = 1_000_000;

/// Waits until the fate of slot `lost` of `stream` stands in its row; returns the row with the outcomes from `from` on.
pub async fn settle(
    committer: &Committer,
    metastore: &Metastore,
    stream: StreamId,
    from: SlotSeq,
    lost: SlotSeq,
) -> StreamProgress {
    loop {
        match try_settle(committer, metastore, stream, from, lost).await {
            Ok(Some(progress)) => return progress,
            Ok(None) => {}
            Err(error) => warn!(stream.id = %stream, %error, "a lost stream is not settled yet"),
        }
        sleep(RETRY_WAIT).await;
    }
}

async fn try_settle(
    committer: &Committer,
    metastore: &Metastore,
    stream: StreamId,
    from: SlotSeq,
    lost: SlotSeq,
) -> Result<Option<StreamProgress>, CommitError> {
    loop {
        let Some(progress) = metastore.stream_progress(stream, from, SLOTS_MAX).await? else {
            return Ok(None);
        };
        if progress.end_seq.is_some() || progress.next_seq > lost {
            return Ok(Some(progress));
        }
        let mut found = Vec::new();
        for seq in progress.next_seq.0..(lost.0 + 1).min(progress.next_seq.0 + MISSING_FOOTERS_MAX as u64) {
            match committer
                .read_footer(Slot {
                    stream,
                    seq: SlotSeq(seq),
                })
                .await?
            {
                Some(footer) => found.push(footer),
                None => break,
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        committer.commit(found).await?;
    }
}

/// Draws a stream and writes its row, however long that takes; `announce` is told, so that the lease names it.
pub async fn open_stream(metastore: &Metastore, node: NodeId, announce: &watch::Sender<Option<StreamId>>) -> StreamId {
    let stream = StreamId(Uuid::now_v7());
    loop {
        match metastore.open_stream(stream, node).await {
            Ok(()) => break,
            Err(error) => warn!(%error, "a new stream is not open yet"),
        }
        sleep(RETRY_WAIT).await;
    }
    announce.send_replace(Some(stream));
    info!(stream.id = %stream, "stream opened");
    stream
}
