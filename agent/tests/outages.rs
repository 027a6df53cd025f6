//! Whole agents over a metastore and a bucket in memory, in virtual time: what clients hear while Postgres, S3 or the
//! sidecar is away, and what is left when they are back.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use tokio::time::Instant;
use world::{ALL, ONE, World, batch};

/// No error of Kafka's.
const NONE: i16 = 0;

#[tokio::test(start_paused = true)]
async fn without_postgres_acks_1_goes_on_and_acks_all_is_told_to_retry() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    assert_eq!(client.produce("events", ALL, batch("before")).await, (NONE, 0));

    world.postgres.away();
    assert_eq!(client.produce("events", ONE, batch("one")).await, (NONE, -1));
    let asked_at = Instant::now();
    let told = client.produce("events", ALL, batch("all")).await;
    assert_eq!(told, (ResponseError::RequestTimedOut.code(), -1));
    assert_eq!(asked_at.elapsed().as_secs(), world::PRODUCE_TIMEOUT.as_secs());
    assert_eq!(client.produce("events", ONE, batch("two")).await, (NONE, -1));

    world.postgres.back();
    assert_eq!(client.produce("events", ALL, batch("after")).await, (NONE, 4));
    assert_eq!(
        client.read("events", 0, 5).await,
        ["before", "one", "all", "two", "after"],
        "nothing is lost, nothing is there twice"
    );
}

#[tokio::test(start_paused = true)]
async fn without_s3_producers_are_told_to_retry_and_nothing_is_lost_or_doubled_afterwards() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    world.s3_away(true);
    for value in ["one", "two"] {
        let told = client.produce("events", ONE, batch(value)).await;
        assert_eq!(told, (ResponseError::RequestTimedOut.code(), -1));
    }
    world.s3_away(false);
    assert_eq!(client.produce("events", ALL, batch("three")).await, (NONE, 2));
    assert_eq!(client.read("events", 0, 3).await, ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn what_s3_does_not_take_is_bounded_by_the_setting_and_reading_stops_there() {
    let world = World::new();
    let agent = world
        .agent(&["--inflight-bytes=209715200", "--message-max-bytes=104857600"])
        .await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    world.s3_away(true);
    // Three clients with 90 MiB each, and room for two.
    let mut told = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut producer = agent.connect().await;
        told.spawn(async move { producer.produce("events", ONE, world::large_batch(90 << 20)).await });
    }
    for _ in 0..2 {
        let told = told.join_next().await.unwrap().unwrap();
        assert_eq!(told.0, ResponseError::RequestTimedOut.code());
    }
    let third = tokio::time::timeout(Duration::from_secs(300), told.join_next()).await;
    assert!(
        third.is_err(),
        "its bytes are not read, for there is no room: {third:?}"
    );
    assert!(client.fetch("events", 0).await.is_ok(), "what is no data goes on");
    world.s3_away(false);
    assert_eq!(told.join_next().await.unwrap().unwrap(), (NONE, -1));
}

#[tokio::test(start_paused = true)]
async fn without_postgres_a_reader_goes_on_with_what_the_agent_has_seen() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    client.produce("events", ALL, batch("one")).await;
    client.produce("events", ALL, batch("two")).await;
    assert_eq!(client.read("events", 0, 2).await, ["one", "two"]);
    world.postgres.away();
    for _ in 0..3 {
        let asked_at = Instant::now();
        assert_eq!(client.fetch("events", 0).await.unwrap(), ["one", "two"]);
        assert_eq!(client.fetch("events", 1).await.unwrap(), ["two"]);
        assert_eq!(client.fetch("events", 2).await.unwrap(), [] as [String; 0]);
        assert!(asked_at.elapsed() < Duration::from_secs(2));
        let beyond = client.fetch("events", 3).await;
        assert_eq!(
            beyond,
            Err(ResponseError::NotLeaderOrFollower),
            "postgres alone knows what is out of range"
        );
    }
    world.postgres.back();
    client.produce("events", ALL, batch("three")).await;
    assert_eq!(client.read("events", 2, 1).await, ["three"]);
    assert_eq!(client.fetch("events", 4).await, Err(ResponseError::OffsetOutOfRange));
}

#[tokio::test(start_paused = true)]
async fn something_in_our_slot_that_is_no_object_ends_the_stream_for_us_and_nobody_notices() {
    for junk in [world::junk(), bytes::Bytes::new()] {
        let world = World::new();
        let agent = world.agent(&[]).await;
        let mut client = agent.connect().await;
        client.create_topic("events").await;
        assert_eq!(client.produce("events", ALL, batch("one")).await, (NONE, 0));
        let stream = world.put_into_slot(1, junk).await;
        assert_eq!(client.produce("events", ONE, batch("two")).await, (NONE, -1));
        assert_eq!(client.produce("events", ALL, batch("three")).await, (NONE, 2));
        assert_eq!(client.read("events", 0, 3).await, ["one", "two", "three"]);
        assert!(agent.readiness.is_ready());
        let left = world.tables.tables().streams[&stream].state;
        assert_eq!(
            (left.next_seq, left.end_seq),
            (types::SlotSeq(1), None),
            "its end is not for us to say"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn while_an_object_of_a_version_to_come_lies_in_our_slot_the_agent_is_not_ready_and_keeps_nobody_waiting() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    assert_eq!(client.produce("events", ALL, batch("one")).await, (NONE, 0));
    assert!(agent.readiness.is_ready());

    let stream = world.put_into_slot(1, world::newer_object()).await;
    let asked_at = Instant::now();
    for acks in [ONE, ALL] {
        let told = client.produce("events", acks, batch("two")).await;
        assert_eq!(told, (ResponseError::NotLeaderOrFollower.code(), -1));
    }
    assert!(asked_at.elapsed() < Duration::from_secs(3), "{:?}", asked_at.elapsed());
    assert!(
        agent.readiness.explain().contains("slot"),
        "{}",
        agent.readiness.explain()
    );
    assert_eq!(client.read("events", 0, 1).await, ["one"], "readers are served");

    // Somebody has looked at it, and taken it away.
    world.take_away(stream, 1).await;
    agent.until_ready(true).await;
    assert_eq!(client.produce("events", ALL, batch("three")).await, (NONE, 1));
    assert_eq!(client.read("events", 0, 2).await, ["one", "three"]);
    let left = world.tables.tables().streams[&stream].state;
    assert_eq!(
        left.end_seq,
        Some(types::SlotSeq(1)),
        "a tombstone ends the stream where it lay"
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_taken_out_of_our_slot_at_once_ends_the_stream_all_the_same() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    let stream = world.put_into_slot(0, world::junk()).await;
    let taking_away = async {
        // After the first look at it, and before it is believed.
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.take_away(stream, 0).await;
    };
    let (told, ()) = tokio::join!(client.produce("events", ALL, batch("one")), taking_away);
    assert_eq!(told, (NONE, 0));
    assert_eq!(
        world.tables.tables().streams[&stream].state.end_seq,
        Some(types::SlotSeq(0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_was_forgotten_hears_where_the_log_starts() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    let first = world::idempotent_batch("one", 1, 0);
    assert_eq!(client.produce("events", ALL, first).await, (NONE, 0));
    world.tables.tamper(|tables| {
        let states = tables.producer_state.values_mut();
        states.for_each(|state| state.updated_at = types::TimestampMs(0));
    });
    let much_later = world::idempotent_batch("two", 1, 10);
    let told = client.produce_answer("events", ALL, much_later).await;
    assert_eq!(told.error_code, ResponseError::UnknownProducerId.code());
    // With -1 the Java client sends the same again until its time is over.
    assert_eq!(told.log_start_offset, 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_overtook_another_is_sent_again_as_it_is_and_taken_behind_it() {
    let world = World::new();
    let agents = [world.agent(&[]).await, world.agent(&[]).await];
    let mut first = agents[0].connect().await;
    let mut second = agents[1].connect().await;
    first.create_topic("events").await;
    let overtaking = || world::idempotent_batch("two", 1, 1);
    // With OUT_OF_ORDER_SEQUENCE_NUMBER librdkafka would take a new epoch and send "one" again, which is on its way.
    let told = second.produce("events", ALL, overtaking()).await;
    assert_eq!(told, (ResponseError::NotLeaderOrFollower.code(), -1));
    let one = world::idempotent_batch("one", 1, 0);
    assert_eq!(first.produce("events", ALL, one).await, (NONE, 0));
    assert_eq!(second.produce("events", ALL, overtaking()).await, (NONE, 1));
    assert_eq!(first.read("events", 0, 2).await, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_of_the_sidecar_are_read_from_s3_instead() {
    let world = World::new();
    let cache = Arc::new(world::DamagedCache::default());
    let agent = world.agent_with_cache(&[], Some(cache.clone())).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    client.produce("events", ALL, batch("one")).await;
    // Every byte in turn.
    for flipped in 0..batch("one").len() {
        cache.flip(flipped);
        assert_eq!(client.fetch("events", 0).await.unwrap(), ["one"], "byte {flipped}");
    }
    assert_eq!(cache.reads(), batch("one").len(), "the sidecar was asked each time");
}

#[tokio::test(start_paused = true)]
async fn what_lies_before_an_object_that_is_gone_is_served_and_the_rest_is_an_error() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    for value in ["one", "two", "three"] {
        client.produce("events", ALL, batch(value)).await;
    }
    let stream = world.stream();
    world.take_away(stream, 1).await;
    assert_eq!(client.fetch("events", 0).await.unwrap(), ["one"]);
    assert_eq!(client.fetch("events", 1).await, Err(ResponseError::KafkaStorageError));
    assert_eq!(client.fetch("events", 2).await.unwrap(), ["three"]);
}
