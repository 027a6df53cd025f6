//! Partitions: where each log starts and ends.

use std::collections::BTreeMap;

use async_trait::async_trait;
use types::{Offset, PartitionIndex, TimestampMs, TopicNumber};

use crate::MetastoreError;

/// Where a partition's log starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// First offset still there.
    pub log_start: Offset,
    /// One past the last committed record.
    pub end: Offset,
    /// Largest timestamp of a committed record, -1 before the first.
    pub max_timestamp: TimestampMs,
}

/// The table of partitions.
#[async_trait]
pub trait Partitions {
    /// Ends of the named partitions; one that is not there is missing from the answer.
    async fn log_ends(
        &self,
        partitions: &[(TopicNumber, PartitionIndex)],
    ) -> Result<BTreeMap<(TopicNumber, PartitionIndex), LogEnds>, MetastoreError>;
}
