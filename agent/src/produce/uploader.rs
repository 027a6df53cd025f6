//! Decides one slot in S3: our object, or, where that fails for good, a tombstone.
//!
//! Every PUT is conditional, so S3 is the only arbiter: 412 means the slot is decided, and the content id in the footer
//! there tells by whom. A PUT that fails may still have happened; it is never given up, only replaced by a tombstone in
//! the same slot, tried until the slot is decided one way or the other (docs/ARCHITECTURE.md).

use std::sync::Arc;
use std::time::Duration;

use commit::SlotFooter;
use metastore::{SlotReadError, read_slot_footer};
use metrics::counter;
use object_format::{Kind, slot_key};
use storage::{ObjectStore, PutOutcome, StorageError};
use tokio::time::{Instant, sleep};
use tracing::{error, warn};
use types::{ClusterId, ContentId, Entropy, Slot};

use crate::costs::Costs;
use crate::metrics::{TOMBSTONES, UPLOAD_RETRIES};
use crate::produce::object::{SealedObject, tombstone};
use crate::produce::stream::SlotDecision;

/// How long the object itself is tried before the stream is given up: longer than S3's usual hiccups, shorter than a
/// producer's `delivery.timeout.ms` (120 s by default).
const DATA_TRIED_FOR: Duration = Duration::from_secs(30);
/// Wait before the second try; doubles up to the largest.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Puts `object` into its slot and returns once the slot is decided, however long that takes. Its topics pay for every try.
pub async fn decide_slot(
    store: &dyn ObjectStore,
    entropy: &dyn Entropy,
    costs: &Costs,
    object: SealedObject,
) -> SlotDecision {
    let footer = Arc::clone(&object.footer.footer);
    let mut tries = Tries::new();
    while !tries.data_given_up {
        costs.put(&footer);
        match put(store, &object).await {
            Ok(found) => return found.decision(footer.content),
            Err(error) => tries.wait_after(&error, entropy).await,
        }
    }
    error!(slot = %footer.slot, "object cannot be stored, its stream will be ended");
    let end = tombstone(footer.cluster, footer.slot, ContentId(entropy.uuid_v4()));
    loop {
        costs.put(&footer);
        match put(store, &end).await {
            Ok(found) => {
                if found.holds(end.footer.footer.content) {
                    counter!(TOMBSTONES, "reason" => "unstorable").increment(1);
                }
                return match found {
                    Found::Put => SlotDecision::Lost,
                    // Our data may have landed after all.
                    other => other.decision(footer.content),
                };
            }
            Err(error) => tries.wait_after(&error, entropy).await,
        }
    }
}

/// Puts a tombstone into a slot of ours in which nothing of ours is or can be under way, however long that takes. Returns the
/// tombstone that lies there then, ours or the sweep's; `None`: something else does, and the stream has no end there.
pub async fn end_stream(
    store: &dyn ObjectStore,
    entropy: &dyn Entropy,
    cluster: ClusterId,
    slot: Slot,
) -> Option<SlotFooter> {
    let end = tombstone(cluster, slot, ContentId(entropy.uuid_v4()));
    let mut tries = Tries::new();
    loop {
        match put(store, &end).await {
            Ok(found) => {
                if found.holds(end.footer.footer.content) {
                    counter!(TOMBSTONES, "reason" => "end").increment(1);
                }
                return match found {
                    Found::Put => Some(end.footer),
                    Found::Object(there) if there.footer.kind == Kind::Tombstone => Some(there),
                    Found::Object(_) | Found::Gone | Found::NoObject | Found::Unreadable => None,
                };
            }
            Err(error) => tries.wait_after(&error, entropy).await,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error(transparent)]
    Put(#[from] StorageError),
    #[error("slot is taken, and its footer cannot be read: {0}")]
    Read(#[from] SlotReadError),
}

/// What lies in a slot after a PUT of ours was answered.
enum Found {
    /// What we have just put.
    Put,
    /// An object of this slot.
    Object(SlotFooter),
    /// Nothing any more: it was taken, committed and merged.
    Gone,
    /// A file that is no object of this slot, and never will be.
    NoObject,
    /// Something that we cannot read and another build may, or may not read at all.
    Unreadable,
}

impl Found {
    fn holds(&self, content: ContentId) -> bool {
        match self {
            Self::Put => true,
            Self::Object(there) => there.footer.content == content,
            Self::Gone | Self::NoObject | Self::Unreadable => false,
        }
    }

    /// What that means for the data object `content`.
    fn decision(&self, content: ContentId) -> SlotDecision {
        match self {
            found if found.holds(content) => SlotDecision::Ours,
            Self::Object(there) if there.footer.kind == Kind::Data => SlotDecision::Strangers,
            // The stream's row knows whose the one that is gone was; junk never commits.
            Self::Put | Self::Object(_) | Self::Gone | Self::NoObject => SlotDecision::Lost,
            // It may be data that somebody commits: what is decided about those is not about ours.
            Self::Unreadable => SlotDecision::Strangers,
        }
    }
}

/// One PUT, and a look at what is there if the slot was taken.
async fn put(store: &dyn ObjectStore, object: &SealedObject) -> Result<Found, TryError> {
    let footer = &object.footer.footer;
    let key = slot_key(footer.slot);
    if store.put_if_absent(&key, object.bytes.clone()).await? == PutOutcome::Created {
        return Ok(Found::Put);
    }
    match read_slot_footer(store, footer.cluster, footer.slot).await {
        Ok(Some(there)) => Ok(Found::Object(there)),
        Ok(None) => Ok(Found::Gone),
        Err(error) if error.is_retriable() => Err(error.into()),
        Err(error) if error.is_no_object() => Ok(Found::NoObject),
        Err(_) => Ok(Found::Unreadable),
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

    async fn wait_after(&mut self, error: &TryError, entropy: &dyn Entropy) {
        let retriable = match error {
            TryError::Put(error) => error.is_retriable(),
            TryError::Read(_) => true,
        };
        self.data_given_up |= !retriable || self.started.elapsed() > DATA_TRIED_FOR;
        counter!(UPLOAD_RETRIES).increment(1);
        warn!(%error, wait_ms = self.wait.as_millis(), "upload will be tried again");
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
            None,
        )
    }

    async fn decided(store: &MemoryStore) -> SlotDecision {
        decide_slot(store, &SystemEntropy, &Costs::default(), object(1)).await
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
