//! ListOffsets as clients see it, in a cluster in one process.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod world;

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ApiKey, BrokerId, ListOffsetsRequest, ListOffsetsResponse};
use world::{ALL, Client, DamagedCache, World, timed_batch, topic_name};

const NEWEST: i16 = 10;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

fn partition(index: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition::default()
        .with_partition_index(index)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp)
}

/// Error, offset, timestamp and leader epoch of each partition.
async fn ask(client: &mut Client, version: i16, partitions: Vec<ListOffsetsPartition>) -> Vec<(i16, i64, i64, i32)> {
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(partitions);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let response: ListOffsetsResponse = client.ask(ApiKey::ListOffsets, version, request).await;
    let partitions = response.topics[0].partitions.iter();
    partitions
        .map(|partition| {
            (
                partition.error_code,
                partition.offset,
                partition.timestamp,
                partition.leader_epoch,
            )
        })
        .collect()
}

async fn ask_one(client: &mut Client, timestamp: i64) -> (i16, i64, i64, i32) {
    ask(client, NEWEST, vec![partition(0, timestamp)]).await[0]
}

/// A log of three batches, in three objects: offsets 0 to 6.
async fn filled(client: &mut Client) {
    client.create_topic("t").await;
    for timestamps in [&[10, 30, 20][..], &[5], &[25, 30, 40]] {
        assert_eq!(client.produce("t", ALL, timed_batch(timestamps)).await.0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_position_is_answered_as_kafka_does_with_tiering_off() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    filled(&mut client).await;
    assert_eq!(ask_one(&mut client, LATEST).await, (0, 7, -1, 0));
    assert_eq!(ask_one(&mut client, EARLIEST).await, (0, 0, -1, 0));
    assert_eq!(ask_one(&mut client, EARLIEST_LOCAL).await, (0, 0, -1, 0));
    assert_eq!(ask_one(&mut client, MAX_TIMESTAMP).await, (0, 6, 40, 0));
    assert_eq!(ask_one(&mut client, LATEST_TIERED).await, (0, -1, -1, -1));
    let unsupported = ResponseError::UnsupportedVersion.code();
    assert_eq!(
        ask_one(&mut client, EARLIEST_PENDING_UPLOAD).await,
        (unsupported, -1, -1, -1)
    );
    let too_early = ask(&mut client, 6, vec![partition(0, MAX_TIMESTAMP)]).await[0];
    assert_eq!(too_early.0, unsupported);
}

#[tokio::test(start_paused = true)]
async fn a_time_leads_to_the_first_record_that_is_not_older() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    filled(&mut client).await;
    for (timestamp, offset, found) in [
        (0, 0, 10),
        (10, 0, 10),
        (11, 1, 30),
        (30, 1, 30),
        (31, 6, 40),
        (41, -1, -1),
    ] {
        let answer = ask_one(&mut client, timestamp).await;
        assert_eq!((answer.1, answer.2), (offset, found), "at {timestamp}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_log_has_no_record_of_any_time() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("t").await;
    assert_eq!(ask_one(&mut client, MAX_TIMESTAMP).await, (0, -1, -1, -1));
    assert_eq!(ask_one(&mut client, 0).await, (0, -1, -1, -1));
    assert_eq!(ask_one(&mut client, LATEST).await, (0, 0, -1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_bad_partition_does_not_spoil_the_others() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    filled(&mut client).await;
    let elsewhere = partition(0, LATEST).with_current_leader_epoch(1);
    let unknown_epoch = ask(&mut client, NEWEST, vec![elsewhere]).await[0];
    assert_eq!(unknown_epoch.0, ResponseError::UnknownLeaderEpoch.code());
    let several = vec![
        partition(9, LATEST),
        partition(0, LATEST),
        partition(7, LATEST),
        partition(7, EARLIEST),
    ];
    let answers: Vec<i16> = ask(&mut client, NEWEST, several)
        .await
        .into_iter()
        .map(|answer| answer.0)
        .collect();
    let (unknown, invalid) = (
        ResponseError::UnknownTopicOrPartition.code(),
        ResponseError::InvalidRequest.code(),
    );
    assert_eq!(answers, [unknown, 0, invalid, invalid]);
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_of_the_sidecar_lead_to_no_other_record() {
    let world = World::new();
    let cache = Arc::new(DamagedCache::default());
    let agent = world.agent_with_cache(&[], Some(cache.clone())).await;
    let mut client = agent.connect().await;
    client.create_topic("t").await;
    let batch = timed_batch(&[10, 30, 20]);
    client.produce("t", ALL, batch.clone()).await;
    // Every byte in turn.
    for flipped in 0..batch.len() {
        cache.flip(flipped);
        assert_eq!(ask_one(&mut client, 11).await, (0, 1, 30, 0), "byte {flipped}");
    }
    assert_eq!(cache.reads(), batch.len(), "the sidecar was asked each time");
}
