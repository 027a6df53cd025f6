//! Leases of live agents: who is there, under which node id, with which open stream. Judged by the metastore's clock
//! alone. A lease is for liveness only; no data depends on it.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use types::{NodeId, StreamId};
use uuid::Uuid;

use crate::MetastoreError;

/// An address that clients of one listener are told; `NAME://host:port` as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdvertisedListener {
    /// The listener's name.
    pub name: String,
    /// Host to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
}

impl fmt::Display for AdvertisedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.name, self.host, self.port)
    }
}

impl FromStr for AdvertisedListener {
    type Err = MetastoreError;

    fn from_str(text: &str) -> Result<Self, MetastoreError> {
        let parsed = text.split_once("://").and_then(|(name, address)| {
            let (host, port) = address.rsplit_once(':')?;
            Some(Self {
                name: name.to_owned(),
                host: host.to_owned(),
                port: port.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| MetastoreError::Internal(format!("{text} is no listener's address")))
    }
}

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
    /// What it advertises on each of its listeners; empty: one listener, at its host and port.
    pub listeners: Vec<AdvertisedListener>,
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
    /// What it advertises on each of its listeners; empty: one listener, at its host and port.
    pub listeners: Vec<AdvertisedListener>,
}

impl LiveAgent {
    /// The agent as clients of a listener are shown it; `None`: it has no listener of that name.
    pub fn through(&self, listener: &str) -> Option<Self> {
        if self.listeners.is_empty() {
            return Some(self.clone());
        }
        let found = self.listeners.iter().find(|own| own.name == listener)?;
        Some(Self {
            host: found.host.clone(),
            port: found.port,
            ..self.clone()
        })
    }
}

/// Why an agent did not get a lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error("node id {} is taken by {}:{}; set YAKS_NODE_ID=auto or another id", .0.node_id, .0.host, .0.port)]
    Taken(Box<LiveAgent>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_shown_at_the_address_of_the_listener_if_it_has_it() {
        let listeners = ["INTERNAL://agent-1:29092", "EXTERNAL://[::1]:9092"];
        let mut agent = LiveAgent {
            node_id: NodeId(1),
            host: "agent-1".to_owned(),
            port: 29092,
            rack: String::new(),
            cache_url: String::new(),
            peer_address: String::new(),
            listeners: listeners.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let shown = |agent: &LiveAgent, name| agent.through(name).map(|shown| (shown.host, shown.port));
        assert_eq!(shown(&agent, "EXTERNAL"), Some(("[::1]".to_owned(), 9092)));
        assert_eq!(shown(&agent, "INTERNAL"), Some(("agent-1".to_owned(), 29092)));
        assert_eq!(shown(&agent, "OTHER"), None);
        agent.listeners.clear();
        assert_eq!(shown(&agent, "OTHER"), Some(("agent-1".to_owned(), 29092)));
    }

    #[test]
    fn a_listeners_text_is_read_back_and_anything_else_is_refused() {
        let text = "EXTERNAL://[::1]:9092";
        assert_eq!(text.parse::<AdvertisedListener>().unwrap().to_string(), text);
        for wrong in ["", "EXTERNAL", "EXTERNAL://host", "EXTERNAL://host:port"] {
            assert!(wrong.parse::<AdvertisedListener>().is_err(), "{wrong}");
        }
    }
}
