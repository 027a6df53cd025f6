//! What yaks knows about its data: one trait per table, and the commit that gives every batch its offset.
//!
//! [`Metastore`] is the handle. Behind it stands Postgres (`postgres/`), or ordered maps ([`memory`]) for the simulator
//! and tests. Each table has a module with its types and its trait, and one of the same name in either
//! implementation. [`Committer`] stands above the traits: there is one.

mod audits;
mod backend;
mod cluster;
mod commit;
mod commits;
mod config;
mod consumer_groups;
mod error;
mod group_offsets;
mod hints;
mod leases;
mod lifecycle;
mod log_index;
pub mod memory;
mod metrics;
mod orphans;
mod partitions;
mod postgres;
mod producer_ids;
mod producer_states;
mod schema;
mod slot_object;
mod streams;
mod sweeps;
mod topics;

pub use audits::{
    AuditedObject, AuditedPartition, AuditedRow, AuditedRows, AuditedSlot, AuditedStream, Audits, RowThere,
};
pub use backend::{Backend, Metastore};
pub use cluster::Cluster;
pub use commit::{CommitError, Committer};
pub use commits::{Commits, Transacted};
pub use config::{DbAuth, PostgresConfig, SslMode};
pub use consumer_groups::{
    ConsumerGroups, CoordinatorEpoch, ExpiredGroups, GroupFence, GroupKind, GroupState, GroupWriteError, ListedGroup,
    TakenGroup,
};
pub use error::MetastoreError;
pub use group_offsets::{CommittedOffset, GroupOffset, GroupOffsets, TopicPartition};
pub use hints::{CommitHints, HintSource, Hints};
pub use leases::{AdvertisedListener, LeaseError, Leases, LiveAgent, NewAgent};
pub use lifecycle::Lifecycle;
pub use log_index::{IndexedRange, LogIndex, PlannedPartition, WantedRange};
pub use metrics::METRICS;
pub use orphans::{Backlog, EndedStream, Orphans};
pub use partitions::{LogEnds, LogStartMove, NewLogStart, Partitions};
pub use producer_ids::ProducerIds;
pub use producer_states::{ProducerStates, ProducersOfPartitions};
pub use schema::{Role, Roles, Schema};
pub use slot_object::{SlotReadError, decode_slot_footer, read_slot_footer};
pub use streams::{StreamProgress, Streams};
pub use sweeps::{DeadStream, Sweeps};
pub use topics::{Growth, NewTopic, TopicCreation, TopicInfo, TopicSettings, Topics};
