//! What a batch entry is written relative to: the entry before it.

use crate::FooterBatch;

/// Fields of the batch before, zero before the first.
#[derive(Debug, Default)]
pub(crate) struct Previous {
    pub(crate) topic: u32,
    pub(crate) partition: i32,
    pub(crate) end: u64,
    pub(crate) base_timestamp: i64,
}

impl Previous {
    pub(crate) fn of(batch: &FooterBatch) -> Self {
        Self {
            topic: batch.topic,
            partition: batch.partition.0,
            end: batch.range.end,
            base_timestamp: batch.base_timestamp.0,
        }
    }
}
