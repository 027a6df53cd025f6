//! The words every part of yaks shares: ids, offsets, object keys, byte ranges, limits, the clock,
//! metrics by name, randomness and rendezvous hashing. Pure: no tokio, AWS, SQL or Kafka protocol. Ranges are half-open everywhere.

mod clock;
mod entropy;
mod ids;
pub mod limits;
mod metric;
mod range;
mod rendezvous;
mod topic;
mod version;

pub use clock::{Clock, ManualClock, SystemClock, TimestampMs};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use ids::{
    ClusterId, ContentId, NodeId, ObjectId, ObjectKey, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
    Slot, SlotSeq, StreamId, TopicId, TopicNumber,
};
pub use metric::{Metric, MetricKind, MetricLabel, MetricUnit};
pub use range::ByteRange;
pub use rendezvous::rendezvous_rank;
pub use topic::{TopicName, TopicNameError};
pub use version::{COMMIT, VERSION, version};
