//! Leases in Postgres, judged by its clock.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;
use types::{NodeId, StreamId};
use uuid::Uuid;

use super::Postgres;
use crate::{LeaseError, Leases, LiveAgent, MetastoreError, NewAgent};

/// Starts of agents that pick the same free id at once: each round one of them gets it.
const AUTO_ATTEMPTS: usize = 100;

#[async_trait]
impl Leases for Postgres {
    async fn take_lease(&self, agent: &NewAgent, ttl_ms: u64) -> Result<NodeId, LeaseError> {
        match agent.node_id {
            Some(node_id) => self.take_node(agent, node_id, ttl_ms).await,
            None => self.take_free_node(agent, ttl_ms).await,
        }
    }

    async fn renew_lease(
        &self,
        node_id: NodeId,
        incarnation: Uuid,
        stream: Option<StreamId>,
        ttl_ms: u64,
    ) -> Result<bool, MetastoreError> {
        let renewed: bool = sqlx::query_scalar(include_str!("queries/agents/renew.sql"))
            .bind(node_id.0)
            .bind(incarnation)
            .bind(stream.map(|stream| stream.0))
            .bind(millis(ttl_ms))
            .fetch_one(&self.pool)
            .await?;
        Ok(renewed)
    }

    async fn release_lease(&self, node_id: NodeId, incarnation: Uuid) -> Result<(), MetastoreError> {
        sqlx::query("DELETE FROM agents WHERE node_id = $1 AND incarnation = $2")
            .bind(node_id.0)
            .bind(incarnation)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn live_agents(&self) -> Result<Vec<LiveAgent>, MetastoreError> {
        let rows = sqlx::query(
            "SELECT node_id, host, port, rack, cache_url, peer_address, listeners FROM agents
             WHERE lease_expires_at > clock_timestamp() ORDER BY node_id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(live_agent).collect()
    }
}

impl Postgres {
    async fn take_free_node(&self, agent: &NewAgent, ttl_ms: u64) -> Result<NodeId, LeaseError> {
        let mut refusal = None;
        for _ in 0..AUTO_ATTEMPTS {
            let free: i32 = sqlx::query_scalar(include_str!("queries/agents/lowest_free.sql"))
                .bind(agent.incarnation)
                .fetch_one(&self.pool)
                .await?;
            match self.take_node(agent, NodeId(free), ttl_ms).await {
                Err(LeaseError::Taken(by)) => refusal = Some(LeaseError::Taken(by)),
                taken_or_failed => return taken_or_failed,
            }
        }
        Err(refusal.expect("every attempt was refused"))
    }

    async fn take_node(&self, agent: &NewAgent, node_id: NodeId, ttl_ms: u64) -> Result<NodeId, LeaseError> {
        // Twice: a lease that refused us may have been released before we looked whose it is.
        loop {
            let taken = sqlx::query(include_str!("queries/agents/take.sql"))
                .bind(node_id.0)
                .bind(agent.incarnation)
                .bind(agent.stream.map(|stream| stream.0))
                .bind(&agent.host)
                .bind(i32::from(agent.port))
                .bind(&agent.rack)
                .bind(&agent.cache_url)
                .bind(millis(ttl_ms))
                .bind(&agent.peer_address)
                .bind(agent.listeners.iter().map(ToString::to_string).collect::<Vec<_>>())
                .fetch_optional(&self.pool)
                .await?;
            if taken.is_some() {
                return Ok(node_id);
            }
            let holder = sqlx::query(
                "SELECT node_id, host, port, rack, cache_url, peer_address, listeners FROM agents WHERE node_id = $1",
            )
            .bind(node_id.0)
            .fetch_optional(&self.pool)
            .await?;
            if let Some(holder) = holder {
                return Err(LeaseError::Taken(Box::new(live_agent(&holder)?)));
            }
        }
    }
}

pub(super) fn millis(ttl_ms: u64) -> f64 {
    // The interval's factor is a float8; a TTL is far below 2^53 ms.
    ttl_ms as f64
}

fn live_agent(row: &PgRow) -> Result<LiveAgent, MetastoreError> {
    let node_id = NodeId(row.try_get("node_id")?);
    let port: i32 = row.try_get("port")?;
    Ok(LiveAgent {
        node_id,
        host: row.try_get("host")?,
        port: u16::try_from(port).map_err(|_| MetastoreError::Internal(format!("agent {node_id} has port {port}")))?,
        rack: row.try_get("rack")?,
        cache_url: row.try_get("cache_url")?,
        peer_address: row.try_get("peer_address")?,
        listeners: row
            .try_get::<Vec<String>, _>("listeners")?
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?,
    })
}
