//! Leases of live agents: who is there, under which node id, with which open stream. Judged by the metastore's clock
//! alone. A lease is for liveness only; no data depends on it.

use async_trait::async_trait;
use types::{NodeId, StreamId};
use uuid::Uuid;

use crate::MetastoreError;

/// An agent that wants a lease.
#[derive(Clone, Debug)]
pub struct NewAgent {
    /// The node id it wants; `None`: the lowest free one.
    pub node_id: Option<NodeId>,
    /// Drawn at its start: tells it from another process that wants the same node id.
    pub incarnation: Uuid,
    /// Its open stream, if it has one already.
    pub stream: Option<StreamId>,
    /// Host it advertises.
    pub host: String,
    /// Port it advertises.
    pub port: u16,
    /// Its zone; empty: none.
    pub rack: String,
    /// Base URL of its cache sidecar; empty: none.
    pub cache_url: String,
    /// Where other agents reach it, as `host:port`; empty: at what it advertises.
    pub peer_address: String,
}

/// An agent whose lease has not run out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveAgent {
    /// Its node id.
    pub node_id: NodeId,
    /// Host it advertises.
    pub host: String,
    /// Port it advertises.
    pub port: u16,
    /// Its zone; empty: none.
    pub rack: String,
    /// Base URL of its cache sidecar; empty: none.
    pub cache_url: String,
    /// Where other agents reach it, as `host:port`; empty: at what it advertises.
    pub peer_address: String,
}

/// Why an agent did not get a lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error("node id {} is taken by {}:{}; set YAKS_NODE_ID=auto or another id", .0.node_id, .0.host, .0.port)]
    Taken(LiveAgent),
    /// Postgres failed.
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
}

/// The table of agents.
#[async_trait]
pub trait Leases {
    /// Takes the lease of a node id, or renews it when this incarnation has it already.
    async fn take_lease(&self, agent: &NewAgent, ttl_ms: u64) -> Result<NodeId, LeaseError>;

    /// Renews a lease and names its open stream; false: it is lost to another incarnation. One that has run out but
    /// that nobody took is still ours.
    async fn renew_lease(
        &self,
        node_id: NodeId,
        incarnation: Uuid,
        stream: Option<StreamId>,
        ttl_ms: u64,
    ) -> Result<bool, MetastoreError>;

    /// Gives a lease back, if it is still this incarnation's.
    async fn release_lease(&self, node_id: NodeId, incarnation: Uuid) -> Result<(), MetastoreError>;

    /// Every agent with a live lease, by node id.
    async fn live_agents(&self) -> Result<Vec<LiveAgent>, MetastoreError>;
}
