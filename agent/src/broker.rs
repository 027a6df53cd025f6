//! What every request handler may use.

use std::sync::Arc;

use metastore::Metastore;
use types::Clock;

use crate::cluster::view::ClusterView;
use crate::config::AckMode;
use crate::configs::TopicDefaults;
use crate::fetch::serve::Fetcher;
use crate::group::coordinator::Coordinator;
use crate::group::relay::Relay;
use crate::produce::writer::WriterHandle;

/// The read-mostly parts of a running agent, shared by all connections.
#[derive(Debug)]
pub struct Broker {
    /// Postgres.
    pub metastore: Metastore,
    /// Topics and live agents.
    pub cluster: Arc<ClusterView>,
    /// What a topic is like that nobody described.
    pub topic_defaults: TopicDefaults,
    /// The groups that this agent coordinates.
    pub groups: Coordinator,
    /// The way to the coordinators of other groups.
    pub relay: Relay,
    /// The way of batches into objects.
    pub writer: WriterHandle,
    /// The way of batches back.
    pub fetcher: Fetcher,
    /// When batches are acknowledged.
    pub ack_mode: AckMode,
    /// Largest batch taken where the topic says nothing.
    pub batch_bytes_max: usize,
    /// Most bytes of one fetch answer.
    pub fetch_bytes_max: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
