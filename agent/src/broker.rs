//! What every request handler may use.

use std::sync::Arc;

use metastore::{LiveAgent, Metastore};
use types::Clock;

use crate::client::Client;
use crate::cluster::placement::Placement;
use crate::cluster::view::ClusterView;
use crate::config::AckMode;
use crate::configs::{BrokerConfigs, TopicDefaults};
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
    /// The agent's settings, as clients are shown them.
    pub configs: BrokerConfigs,
    /// The one place that holds every log, as clients are shown it.
    pub log_dir: String,
    /// When batches are acknowledged.
    pub ack_mode: AckMode,
    /// Largest batch taken where the topic says nothing.
    pub batch_bytes_max: usize,
    /// Most bytes of one fetch answer.
    pub fetch_bytes_max: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Broker {
    /// The brokers as this client is shown them: at the addresses of the listener it came through, those of its zone first. An
    /// agent that does not have that listener is not shown.
    pub fn placement(&self, client: &Client) -> Arc<Placement> {
        let snapshot = self.cluster.snapshot();
        let agents = snapshot.agents();
        // A zone where nobody lives is like none: clients cannot make us keep a placement for each that they invent.
        let zone = client
            .zone()
            .filter(|zone| agents.iter().any(|agent| agent.rack == *zone));
        let make = || {
            let through = |agent: &LiveAgent| agent.through(&client.listener);
            let mut agents: Vec<LiveAgent> = agents.iter().filter_map(through).collect();
            if agents.is_empty() {
                // Our own lease may be that of an older process until it is taken again.
                agents.push(self.cluster.own());
            }
            Placement::new(&agents, zone)
        };
        let whom = format!("{}/{}", client.listener, zone.unwrap_or_default());
        snapshot.placements().get(&whom, make)
    }
}
