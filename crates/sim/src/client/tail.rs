//! Consumers: one that follows the ends of all partitions while the run lasts, and one that reads everything after it.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::time::sleep;

use super::ask::{FetchSession, Fetched, fetch, fetch_in_session, latest_offset, rest};
use super::connection::Connection;
use super::{Clients, Partition};
use crate::random::Dice;

/// Follows all partitions for ever, changing from agent to agent.
pub async fn follow(clients: Clients, dice: Dice) {
    let mut reader = Reader::new(clients.clone());
    loop {
        let host = clients.any_host(&dice);
        if let Ok((mut connection, _)) = Connection::open(&clients.network, &host).await {
            let turns = dice.between(1..20);
            let mut session = FetchSession::default();
            for _ in 0..turns {
                if reader.turn(&mut connection, &mut session).await.is_err() {
                    break;
                }
            }
        }
        sleep(rest(&dice)).await;
    }
}

/// Reads every partition from its beginning to its end, and writes down in the ledger what is there.
pub async fn read_all(clients: &Clients, host: &str) -> anyhow::Result<u64> {
    let (mut connection, _) = Connection::open(&clients.network, host).await?;
    let mut reader = Reader::new(clients.clone());
    for partition in &clients.partitions {
        let end = latest_offset(&mut connection, partition).await?;
        while reader.next(partition) < end {
            let before = reader.next(partition);
            let fetched = fetch(&mut connection, &[(partition.clone(), before)]).await?;
            let answer = fetched.first().context("no partition in the answer")?;
            if let Some(error) = answer.error {
                bail!("{}/{}: {error:?} at {before} of {end}", partition.0, partition.1);
            }
            reader.take(answer);
        }
    }
    // Only now: a reading that breaks off is begun anew.
    let mut ledger = clients.ledger();
    for Kept {
        partition,
        offset,
        key,
        value,
    } in &reader.kept
    {
        ledger.read(&partition.0, partition.1, *offset, key, value);
    }
    Ok(reader.kept.len() as u64)
}

/// Where somebody is in each partition, and what he has read.
struct Reader {
    clients: Clients,
    next: BTreeMap<Partition, i64>,
    kept: Vec<Kept>,
}

/// A record that was read.
struct Kept {
    partition: Partition,
    offset: i64,
    key: Bytes,
    value: Bytes,
}

impl Reader {
    fn new(clients: Clients) -> Self {
        Self {
            clients,
            next: BTreeMap::new(),
            kept: Vec::new(),
        }
    }

    fn next(&self, partition: &Partition) -> i64 {
        self.next.get(partition).copied().unwrap_or(0)
    }

    /// One fetch of all partitions.
    async fn turn(&mut self, connection: &mut Connection, session: &mut FetchSession) -> anyhow::Result<()> {
        let partitions = self.clients.partitions.clone();
        let wanted: Vec<(Partition, i64)> = partitions
            .into_iter()
            .map(|partition| {
                let next = self.next(&partition);
                (partition, next)
            })
            .collect();
        for fetched in fetch_in_session(connection, session, &wanted).await? {
            self.take(&fetched);
        }
        Ok(())
    }

    /// Takes what was served: the records must follow without a gap.
    fn take(&mut self, fetched: &Fetched) {
        let scribe = &self.clients.scribe;
        let (topic, index) = &fetched.partition;
        if let Some(error @ (ResponseError::OffsetOutOfRange | ResponseError::UnknownTopicOrPartition)) = fetched.error
        {
            let next = self.next(&fetched.partition);
            scribe.violation(format_args!(
                "{topic}/{index}: {error:?} at {next}, which follows what was read"
            ));
        }
        let mut next = self.next(&fetched.partition);
        for record in &fetched.records {
            if record.offset != next {
                scribe.violation(format_args!(
                    "{topic}/{index}: offset {} was served where {next} was to come",
                    record.offset
                ));
            }
            next = record.offset + 1;
            let (key, value) = (
                record.key.clone().unwrap_or_default(),
                record.value.clone().unwrap_or_default(),
            );
            self.clients.note_seen(&fetched.partition, record.offset, &key);
            self.kept.push(Kept {
                partition: fetched.partition.clone(),
                offset: record.offset,
                key,
                value,
            });
        }
        self.next.insert(fetched.partition.clone(), next);
    }
}
