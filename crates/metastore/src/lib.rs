//! Postgres: one module per table, and the commit that gives every batch its offset.

mod agents;
mod cluster;
mod commit;
mod commit_tx;
mod config;
mod error;
mod group_offsets;
mod log_index;
mod metrics;
mod migrate;
mod notify;
mod partitions;
mod pool;
mod producer_ids;
mod slot_object;
mod streams;
mod sweep;
mod topics;

pub use agents::{LeaseError, LiveAgent, NewAgent};
pub use commit::{CommitError, Committer};
pub use config::{PostgresConfig, SslMode};
pub use error::MetastoreError;
pub use group_offsets::{CommittedOffset, GroupOffset, TopicPartition};
pub use log_index::{IndexedRange, PlannedPartition, WantedRange};
pub use metrics::describe_metrics;
pub use notify::CommitHints;
pub use partitions::LogEnds;
pub use pool::Metastore;
pub use slot_object::{SlotReadError, decode_slot_footer, read_slot_footer};
pub use streams::StreamProgress;
pub use sweep::DeadStream;
pub use topics::{NewTopic, TopicCreation, TopicInfo, TopicSettings};
