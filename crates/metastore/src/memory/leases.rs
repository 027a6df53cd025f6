//! Leases in memory, judged by the database's clock.

use async_trait::async_trait;
use types::{NodeId, StreamId, TimestampMs};
use uuid::Uuid;

use super::Connection;
use super::tables::{Lease, Tables};
use crate::{LeaseError, Leases, LiveAgent, MetastoreError, NewAgent};

#[async_trait]
impl Leases for Connection {
    async fn take_lease(&self, agent: &NewAgent, ttl_ms: u64) -> Result<NodeId, LeaseError> {
        let take = self.call("take_lease", |tables, now| {
            let node_id = agent
                .node_id
                .unwrap_or_else(|| tables.lowest_free(agent.incarnation, now));
            tables.take_node(agent, node_id, now, ttl_ms)
        });
        take.await?
    }

    async fn renew_lease(
        &self,
        node_id: NodeId,
        incarnation: Uuid,
        stream: Option<StreamId>,
        ttl_ms: u64,
    ) -> Result<bool, MetastoreError> {
        let renew = self.call("renew_lease", |tables, now| {
            if !tables.is_leased_to(node_id, incarnation) {
                return Ok(false);
            }
            tables.check_stream(stream)?;
            let Some(lease) = tables.agents.get_mut(&node_id) else {
                return Ok(false);
            };
            let ran_out = !lease.is_live(now);
            lease.stream = stream;
            lease.expires_at = after(now, ttl_ms);
            if let Some(row) = stream.and_then(|stream| tables.streams.get_mut(&stream))
                && ran_out
            {
                // Its agent lives: the next time it is missed it has its whole grace again.
                row.swept = None;
            }
            Ok(true)
        });
        renew.await?
    }

    async fn release_lease(&self, node_id: NodeId, incarnation: Uuid) -> Result<(), MetastoreError> {
        let release = self.call("release_lease", |tables, _| {
            if tables.is_leased_to(node_id, incarnation) {
                tables.agents.remove(&node_id);
            }
        });
        release.await
    }

    async fn live_agents(&self) -> Result<Vec<LiveAgent>, MetastoreError> {
        let look = self.call("live_agents", |tables, now| {
            let live = tables.agents.values().filter(|lease| lease.is_live(now));
            live.map(|lease| lease.agent.clone()).collect()
        });
        look.await
    }
}

impl Tables {
    /// The lowest node id that no live lease of another agent holds.
    fn lowest_free(&self, incarnation: Uuid, now: TimestampMs) -> NodeId {
        let mut candidate = 0;
        while self
            .agents
            .get(&NodeId(candidate))
            .is_some_and(|lease| lease.incarnation != incarnation && lease.is_live(now))
        {
            candidate += 1;
        }
        NodeId(candidate)
    }

    fn take_node(
        &mut self,
        agent: &NewAgent,
        node_id: NodeId,
        now: TimestampMs,
        ttl_ms: u64,
    ) -> Result<NodeId, LeaseError> {
        if let Some(held) = self.agents.get(&node_id)
            && held.is_live(now)
            && held.incarnation != agent.incarnation
        {
            return Err(LeaseError::Taken(Box::new(held.agent.clone())));
        }
        self.check_stream(agent.stream)?;
        let lease = Lease {
            agent: LiveAgent {
                node_id,
                host: agent.host.clone(),
                port: agent.port,
                rack: agent.rack.clone(),
                cache_url: agent.cache_url.clone(),
                peer_address: agent.peer_address.clone(),
                listeners: agent.listeners.clone(),
            },
            incarnation: agent.incarnation,
            stream: agent.stream,
            expires_at: after(now, ttl_ms),
        };
        self.agents.insert(node_id, lease);
        Ok(node_id)
    }

    fn is_leased_to(&self, node_id: NodeId, incarnation: Uuid) -> bool {
        self.agents
            .get(&node_id)
            .is_some_and(|lease| lease.incarnation == incarnation)
    }

    /// The foreign key: a lease names no stream that has no row.
    fn check_stream(&self, stream: Option<StreamId>) -> Result<(), MetastoreError> {
        match stream.filter(|stream| !self.streams.contains_key(stream)) {
            Some(stream) => Err(MetastoreError::Internal(format!("foreign key: no stream {stream}"))),
            None => Ok(()),
        }
    }
}

fn after(now: TimestampMs, ttl_ms: u64) -> TimestampMs {
    TimestampMs(now.0.saturating_add_unsigned(ttl_ms))
}
