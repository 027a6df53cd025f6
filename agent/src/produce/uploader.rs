//! Decides one slot in S3: our object, or, where that fails for good, a tombstone.
//!
//! Every PUT is conditional, so S3 is the only arbiter: 412 means the slot is decided, and the content id in the footer
//! there tells by whom. A PUT that fails may still have happened; it is never given up, only replaced by a tombstone in
//! the same slot, tried until the slot is decided one way or the other (docs/ARCHITECTURE.md).

use std::sync::Arc;
use std::time::Duration;

use metastore::{SlotReadError, read_slot_footer};
use metrics::counter;
use object_format::{Kind, slot_key};
use storage::{ObjectStore, PutOutcome, StorageError};
use tokio::time::{Instant, sleep};
use tracing::{error, warn};
use types::{ClusterId, ContentId, Entropy, Slot};

use crate::metrics::{TOMBSTONES, UPLOAD_RETRIES};
use crate::produce::object::{SealedObject, tombstone};
use crate::produce::stream::SlotDecision;

/// How long the object itself is tried before the stream is given up: longer than S3's usual hiccups, shorter than a
/// producer's `delivery.timeout.ms` (120 s by default).
const DATA_TRIED_FOR: Duration = Duration::from_secs(30);
/// Wait before the second try; doubles up to the largest.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Puts `object` into its slot and returns once the slot is decided, however long that takes.
pub async fn decide_slot(store: &dyn ObjectStore, entropy: &dyn Entropy, object: SealedObject) -> SlotDecision {
    let footer = Arc::clone(&object.footer.footer);
    let mut tries = Tries::new();
    while !tries.data_given_up {
        if let Some(decision) = try_put(store, &object, footer.content)
            .await
            .unwrap_or_else(|e| tries.note(&e))
        {
            return decision;
        }
        tries.wait(entropy).await;
    }
    error!(slot = %footer.slot, "object cannot be stored, its stream will be ended");
    counter!(TOMBSTONES, "by" => "agent").increment(1);
    let end = tombstone(footer.cluster, footer.slot, ContentId(entropy.uuid_v4()));
    loop {
        // The content asked for is the object's: the tombstone, ours or a stranger's, means that the slot is lost.
        if let Some(decision) = try_put(store, &end, footer.content)
            .await
            .unwrap_or_else(|e| tries.note(&e))
        {
            return decision;
        }
        tries.wait(entropy).await;
    }
}

/// Ends a stream that has no slot in flight: puts a tombstone into its next slot.
pub async fn end_stream(
    store: &dyn ObjectStore,
    entropy: &dyn Entropy,
    cluster: ClusterId,
    slot: Slot,
) -> SealedObject {
    let end = tombstone(cluster, slot, ContentId(entropy.uuid_v4()));
    let mut tries = Tries::new();
    loop {
        let content = end.footer.footer.content;
        let tried = try_put(store, &end, content)
            .await
            .unwrap_or_else(|error| tries.note(&error));
        if tried.is_some() {
            // Ours or the sweep's: either way the stream ends here.
            return end;
        }
        tries.wait(entropy).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error(transparent)]
    Put(#[from] StorageError),
    #[error("slot is taken, and its footer cannot be read: {0}")]
    Read(#[from] SlotReadError),
}

/// One PUT. `Some`: the slot is decided, ours if it holds `content`.
async fn try_put(
    store: &dyn ObjectStore,
    object: &SealedObject,
    content: ContentId,
) -> Result<Option<SlotDecision>, TryError> {
    let footer = &object.footer.footer;
    let ours = |is_ours: bool| {
        Some(if is_ours {
            SlotDecision::Ours
        } else {
            SlotDecision::Lost
        })
    };
    match store
        .put_if_absent(&slot_key(footer.slot), object.bytes.clone())
        .await?
    {
        PutOutcome::Created => Ok(ours(footer.content == content)),
        PutOutcome::AlreadyExists => match read_slot_footer(store, footer.cluster, footer.slot).await {
            Ok(Some(there)) if there.footer.content != content && there.footer.kind == Kind::Data => {
                Ok(Some(SlotDecision::Strangers))
            }
            Ok(Some(there)) => Ok(ours(there.footer.content == content)),
            // Taken, and gone since: it was committed and merged. The stream's row knows whose it was.
            Ok(None) => Ok(ours(false)),
            Err(error) if error.is_retriable() => Err(error.into()),
            // Not an object of this stream: the slot is not ours in any case.
            Err(_) => Ok(ours(false)),
        },
    }
}

struct Tries {
    started: Instant,
    wait: Duration,
    data_given_up: bool,
}

impl Tries {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            wait: WAIT_MIN,
            data_given_up: false,
        }
    }

    fn note(&mut self, error: &TryError) -> Option<SlotDecision> {
        let retriable = match error {
            TryError::Put(error) => error.is_retriable(),
            TryError::Read(_) => true,
        };
        self.data_given_up |= !retriable || self.started.elapsed() > DATA_TRIED_FOR;
        counter!(UPLOAD_RETRIES).increment(1);
        warn!(%error, wait_ms = self.wait.as_millis(), "upload will be tried again");
        None
    }

    async fn wait(&mut self, entropy: &dyn Entropy) {
        // Jitter keeps the uploads to a recovering S3 apart.
        sleep(entropy.jitter(self.wait)).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use storage::MemoryStore;
    use types::{SlotSeq, StreamId, SystemEntropy};
    use uuid::Uuid;

    use super::*;
    use crate::produce::buffer::tests::entry;
    use crate::produce::object::seal;

    fn object(content: u128) -> SealedObject {
        let slot = Slot {
            stream: StreamId(Uuid::from_u128(1)),
            seq: SlotSeq(0),
        };
        seal(
            &mut [entry(1, 0, 10)],
            ClusterId(Uuid::nil()),
            slot,
            ContentId(Uuid::from_u128(content)),
        )
    }

    async fn decided(store: &MemoryStore) -> SlotDecision {
        decide_slot(store, &SystemEntropy, object(1)).await
    }

    #[tokio::test]
    async fn a_free_slot_becomes_ours() {
        assert_eq!(decided(&MemoryStore::new()).await, SlotDecision::Ours);
    }

    #[tokio::test]
    async fn our_own_earlier_put_is_recognised_after_a_lost_answer() {
        let store = MemoryStore::new();
        let earlier = object(1);
        store
            .put_if_absent(&slot_key(earlier.footer.slot()), earlier.bytes)
            .await
            .unwrap();
        assert_eq!(decided(&store).await, SlotDecision::Ours);
    }

    #[tokio::test]
    async fn a_slot_with_somebody_elses_object_is_lost() {
        let tombstone = tombstone(ClusterId(Uuid::nil()), object(1).footer.slot(), ContentId(Uuid::nil()));
        for (there, decision) in [(tombstone, SlotDecision::Lost), (object(2), SlotDecision::Strangers)] {
            let store = MemoryStore::new();
            store
                .put_if_absent(&slot_key(there.footer.slot()), there.bytes)
                .await
                .unwrap();
            assert_eq!(decided(&store).await, decision);
        }
        let store = MemoryStore::new();
        store
            .put_if_absent(&slot_key(object(1).footer.slot()), Bytes::from_static(b"junk"))
            .await
            .unwrap();
        assert_eq!(decided(&store).await, SlotDecision::Lost);
    }
}
