//! Questions whose answer a promise has settled: what was acked with an offset can be found there by whoever asks afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest};
use kafka_protocol::records::{Compression, Record, RecordBatchDecoder};

use super::broker::{PATIENCE, topic_name};
use super::connection::Connection;
use super::{Clients, Partition};
use crate::random::Dice;

const LIST_OFFSETS_VERSION: i16 = 6;
const FETCH_VERSION: i16 = 11;
const LATEST: i64 = -1;
const FETCH_WAIT_MS: i32 = 400;

/// What a fetch said of one partition.
#[derive(Debug)]
pub struct Fetched {
    /// The partition.
    pub partition: Partition,
    /// Its error, if it had one.
    pub error: Option<ResponseError>,
    /// Its records from the wanted offset on, as far as they were served.
    pub records: Vec<Record>,
}

/// One past the last committed record, as the agent at the other end says.
pub async fn latest_offset(connection: &mut Connection, partition: &Partition) -> anyhow::Result<i64> {
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(partition.1)
        .with_current_leader_epoch(-1)
        .with_timestamp(LATEST);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(&partition.0))
        .with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let response = connection.call(&request, LIST_OFFSETS_VERSION, PATIENCE).await?;
    let topic = response.topics.first().context("no topic in the answer")?;
    let answer = topic.partitions.first().context("no partition in the answer")?;
    ensure!(answer.error_code == 0, "partition error {}", answer.error_code);
    Ok(answer.offset)
}

/// A reader's session with one agent (KIP-227).
#[derive(Debug, Default)]
pub struct FetchSession {
    id: i32,
    epoch: i32,
    /// What the agent knows already: the offset that each partition was last asked for.
    asked: BTreeMap<Partition, i64>,
}

/// Records of the partitions from their offsets on; of those that the session's agent has nothing new of there is no answer.
pub async fn fetch_in_session(
    connection: &mut Connection,
    session: &mut FetchSession,
    wanted: &[(Partition, i64)],
) -> anyhow::Result<Vec<Fetched>> {
    let changed = |(partition, offset): &&(Partition, i64)| session.asked.get(partition) != Some(offset);
    let changed: Vec<(Partition, i64)> = wanted.iter().filter(changed).cloned().collect();
    let request = request(&changed)
        .with_session_id(session.id)
        .with_session_epoch(session.epoch);
    let response = connection.call(&request, FETCH_VERSION, PATIENCE).await?;
    ensure!(response.error_code == 0, "fetch error {}", response.error_code);
    if response.session_id == 0 {
        *session = FetchSession::default();
    } else {
        (session.id, session.epoch) = (response.session_id, session.epoch + 1);
        session.asked.extend(changed);
    }
    of_response(&response, wanted)
}

/// Records of the partitions from their offsets on.
pub async fn fetch(connection: &mut Connection, wanted: &[(Partition, i64)]) -> anyhow::Result<Vec<Fetched>> {
    let request = request(wanted).with_session_epoch(-1);
    let response = connection.call(&request, FETCH_VERSION, PATIENCE).await?;
    ensure!(response.error_code == 0, "fetch error {}", response.error_code);
    of_response(&response, wanted)
}

fn request(wanted: &[(Partition, i64)]) -> FetchRequest {
    let topic = |(partition, offset): &(Partition, i64)| {
        let wanted = FetchPartition::default()
            .with_partition(partition.1)
            .with_fetch_offset(*offset)
            .with_current_leader_epoch(-1)
            .with_partition_max_bytes(64 * 1024);
        FetchTopic::default()
            .with_topic(topic_name(&partition.0))
            .with_partitions(vec![wanted])
    };
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(FETCH_WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(256 * 1024)
        .with_topics(wanted.iter().map(topic).collect())
}

fn of_response(response: &FetchResponse, wanted: &[(Partition, i64)]) -> anyhow::Result<Vec<Fetched>> {
    let answers = response
        .responses
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    let mut fetched = Vec::new();
    for (topic, data) in answers {
        let name = |wanted: &&(Partition, i64)| *wanted.0.0 == **topic.topic && wanted.0.1 == data.partition_index;
        let Some((partition, offset)) = wanted.iter().find(name) else {
            bail!("an answer for a partition that was not asked for");
        };
        fetched.push(of_partition(partition, *offset, data)?);
    }
    Ok(fetched)
}

fn of_partition(partition: &Partition, offset: i64, data: &PartitionData) -> anyhow::Result<Fetched> {
    let mut records = Vec::new();
    let mut bytes = data.records.clone().unwrap_or_default();
    while !bytes.is_empty() {
        let plain = |bytes: &mut bytes::Bytes, codec: Compression| match codec {
            Compression::None => Ok(std::mem::take(bytes)),
            other => bail!("{other:?} was never sent"),
        };
        let set = RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(plain))?;
        records.extend(set.records.into_iter().filter(|record| record.offset >= offset));
    }
    Ok(Fetched {
        partition: partition.clone(),
        error: data.error_code.err(),
        records,
    })
}

/// Asks some agent for what was just acked: `key` at `offset`.
pub async fn read_your_write(clients: Clients, dice: Dice, partition: Partition, offset: i64, key: Vec<u8>) {
    clients.scribe.count("read-your-writes asked");
    match try_read_your_write(&clients, &dice, &partition, offset, &key).await {
        Ok(Some(wrong)) => clients.scribe.violation(format_args!(
            "{}/{}: offset {offset} was acked, and then {wrong}",
            partition.0, partition.1
        )),
        Ok(None) => clients.scribe.count("read-your-writes answered"),
        // Nobody there, or no answer: that is no wrong answer.
        Err(_) => {}
    }
}

async fn try_read_your_write(
    clients: &Clients,
    dice: &Dice,
    partition: &Partition,
    offset: i64,
    key: &[u8],
) -> anyhow::Result<Option<String>> {
    let host = clients.any_host(dice);
    let (mut connection, process) = Connection::open(&clients.network, &host).await?;
    let end = latest_offset(&mut connection, partition).await?;
    if end <= offset {
        return Ok(Some(format!("{process} said that the log ends at {end}")));
    }
    let fetched = fetch(&mut connection, &[(partition.clone(), offset)]).await?;
    let answer = fetched.first().context("no partition in the answer")?;
    if answer.error == Some(ResponseError::OffsetOutOfRange) {
        return Ok(Some(format!("{process} said that it is out of range")));
    }
    match answer.records.first() {
        Some(record) if record.offset != offset || record.key.as_deref() != Some(key) => {
            Ok(Some(format!("{process} served {:?} at {}", record.key, record.offset)))
        }
        _ => Ok(None),
    }
}

/// How long a reader rests after something went wrong.
pub fn rest(dice: &Dice) -> Duration {
    dice.ms(50..400)
}
