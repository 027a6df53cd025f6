//! How an agent stops, with everything well and with Postgres or S3 away: in order, in time, and with a word to everybody
//! who waits.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod world;

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use object_format::{Kind, decode_tail};
use storage::{GetRange, ObjectStore};
use tokio::time::Instant;
use world::{ALL, Agent, ONE, World, batch};

const NONE: i16 = 0;
/// `YAKS_SHUTDOWN_MS`.
const DEADLINE: Duration = Duration::from_secs(25);

/// Stops `agent`; it ends without an error and in time.
async fn stop(agent: &mut Agent) -> Duration {
    let asked_at = Instant::now();
    agent.ask_to_stop();
    agent.ended().await.unwrap();
    let took = asked_at.elapsed();
    assert!(took < DEADLINE, "{took:?}");
    took
}

/// Kinds of all objects in the bucket, by key.
async fn kinds(world: &World) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for object in world.bucket.list("data/", None).await.unwrap() {
        let got = world.bucket.get(&object.key, GetRange::Full).await.unwrap();
        kinds.push(decode_tail(&got.bytes, got.object_bytes).unwrap().kind);
    }
    kinds
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_what_is_in_flight_ends_the_stream_and_gives_the_lease_back() {
    let world = World::new();
    // Nothing but the stop seals the object for a minute.
    let mut agent = world.agent(&["--linger-ms=60000"]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    let producing = async { client.produce("events", ALL, batch("one")).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop(&mut agent).await
    };
    let (told, took) = tokio::join!(producing, stopping);
    assert_eq!(told, (NONE, 0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(kinds(&world).await, [Kind::Data, Kind::Tombstone]);
    assert!(client.is_closed().await);
    let tables = world.tables.tables();
    assert!(tables.agents.is_empty(), "the lease is gone");
    assert!(tables.streams.values().all(|stream| stream.state.end_seq.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_a_waiting_reader_at_once() {
    let world = World::new();
    let mut agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    let reading = async { client.fetch_within("events", 0, Duration::from_secs(20)).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop(&mut agent).await
    };
    let (read, took) = tokio::join!(reading, stopping);
    assert_eq!(read.unwrap(), Vec::<String>::new());
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_postgres_a_stop_leaves_everything_in_s3_and_tells_who_waits_to_retry() {
    for hang in [false, true] {
        let world = World::new();
        let mut agent = world.agent(&[]).await;
        let mut client = agent.connect().await;
        let mut other = agent.connect().await;
        client.create_topic("events").await;
        if hang {
            world.postgres.hang();
        } else {
            world.postgres.away();
        }
        let producing = async {
            let durable = other.produce("events", ONE, batch("one")).await;
            (durable, client.produce("events", ALL, batch("two")).await)
        };
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            stop(&mut agent).await
        };
        let ((one, two), _) = tokio::join!(producing, stopping);
        assert_eq!(one, (NONE, -1));
        assert_eq!(two, (ResponseError::NotLeaderOrFollower.code(), -1));
        assert_eq!(
            kinds(&world).await,
            [Kind::Data, Kind::Data, Kind::Tombstone],
            "hang: {hang}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_s3_a_stop_tells_who_waits_to_retry() {
    let world = World::new();
    let mut agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    world.s3_away(true);
    let producing = async { client.produce("events", ONE, batch("one")).await };
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop(&mut agent).await
    };
    // Back when the data have just been given up: an end put now would stand behind a slot that is free.
    let returning = async {
        tokio::time::sleep(Duration::from_secs(1) + DEADLINE * 60 / 100 + Duration::from_millis(200)).await;
        world.s3_away(false);
    };
    let (told, _, ()) = tokio::join!(producing, stopping, returning);
    assert_eq!(told, (ResponseError::NotLeaderOrFollower.code(), -1));
    assert_eq!(kinds(&world).await, []);
    let tables = world.tables.tables();
    assert!(tables.agents.is_empty(), "the lease is gone");
    assert!(
        tables.streams.values().all(|stream| stream.state.end_seq.is_none()),
        "an undecided slot may still become data: the stream's end is the sweep's business"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_no_stream_in_whose_next_slot_something_else_lies() {
    let world = World::new();
    let mut agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    assert_eq!(client.produce("events", ALL, batch("one")).await, (NONE, 0));
    let stream = world.put_into_slot(1, world::junk()).await;
    stop(&mut agent).await;
    let left = world.tables.tables().streams[&stream].state;
    assert_eq!(
        left.end_seq, None,
        "an end in the row means that a tombstone lies there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_ends_like_a_killed_process() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("events").await;
    drop(agent);
    assert!(client.is_closed().await);
    let before = world.tables.tables();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        format!("{:?}", before),
        format!("{:?}", world.tables.tables()),
        "nobody renews a lease"
    );
}
