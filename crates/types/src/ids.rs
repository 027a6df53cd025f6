//! Newtypes for everything that could be passed in the wrong order.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number!(
    /// Kafka's topic id (KIP-516), a random UUID; the zero UUID stands for "none" on the wire.
    TopicId(Uuid)
);
number!(
    /// The short number a topic has in Postgres rows; never shown to clients, never used twice.
    TopicNumber(i32)
);
number!(
    /// Index of a partition within its topic, from 0.
    PartitionIndex(i32)
);
number!(
    /// Position of a record in a partition. -1 on the wire means "not known yet"; 0 is never a stand-in for it.
    Offset(i64)
);
number!(
    /// Id of an idempotent producer; -1 (`ProducerId::NONE`) for a plain one.
    ProducerId(i64)
);
number!(
    /// Epoch of an idempotent producer; -1 for a plain one.
    ProducerEpoch(i16)
);
number!(
    /// Sequence number of a record of one producer and partition; wraps from `i32::MAX` to 0.
    Sequence(i32)
);
number!(
    /// Kafka's broker id of one agent.
    NodeId(i32)
);
number!(
    /// The one id of a cluster, drawn by the first migration.
    ClusterId(Uuid)
);
number!(
    /// One incarnation of one agent: a UUIDv7 drawn at its start.
    StreamId(Uuid)
);
number!(
    /// Position of a slot within its stream, from 0.
    SlotSeq(u64)
);
number!(
    /// Drawn once per sealed object, written into its footer: tells our own earlier PUT from a stranger's.
    ContentId(Uuid)
);
number!(
    /// The number an object has in Postgres rows.
    ObjectId(i64)
);

impl ProducerId {
    /// What a batch of a producer without idempotence carries.
    pub const NONE: Self = Self(-1);

    /// Whether this names an idempotent producer.
    pub fn is_some(self) -> bool {
        self.0 >= 0
    }
}

impl Offset {
    /// "Not known yet" on the wire.
    pub const UNKNOWN: Self = Self(-1);
}

impl Sequence {
    /// The sequence `count` records after this one; wraps from `i32::MAX` to 0 as Kafka's does.
    #[must_use]
    pub fn plus(self, count: i32) -> Self {
        let sum = i64::from(self.0) + i64::from(count);
        let modulus = i64::from(i32::MAX) + 1;
        Self(i32::try_from(sum.rem_euclid(modulus)).expect("the remainder is below 2^31"))
    }
}

impl SlotSeq {
    /// The slot after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One place for one object: it has exactly one S3 key and is decided exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The stream the slot belongs to.
    pub stream: StreamId,
    /// Its position in that stream.
    pub seq: SlotSeq,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.seq)
    }
}

/// An S3 object key, decoded (no percent or plus signs of an event in it).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Takes any text; whether it names a slot is for `object_format::parse_slot_key` to say.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// The key as S3 takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero_after_the_largest() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(5).plus(0), Sequence(5));
    }
}
