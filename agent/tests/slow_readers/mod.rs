//! Readers that ask for much and take nothing, and those beside them.

use std::time::Duration;

use agent::memory::pool::TAKING_PATIENCE;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::Instant;

use crate::world::{ALL, Agent, Client, World, large_batch, topic_name, values};

const BATCH: usize = 1_000_000;
const BATCHES: usize = 8;
/// The least there is: 108 MiB for answers at the tail, 54 MiB for those of old data.
const MEMORY: &str = "--memory-mb=432";
const SLOW: usize = 60;
/// Less than a batch: what an agent's machine would keep for a client's socket.
const PIPE_BYTES: usize = 64 * 1024;

const VERSION: i16 = 11;
const PATIENCE: Duration = Duration::from_secs(60);
/// More than there is, so that it is read to the end.
const EVERYTHING: usize = 2 * BATCHES * BATCH;

/// What the pools of one agent say of themselves.
struct Pools(PrometheusHandle);

impl Pools {
    fn of(recorder: &PrometheusRecorder) -> Self {
        Self(recorder.handle())
    }

    fn value(&self, metric: &str, pool: &str) -> f64 {
        let rendered = self.0.render();
        let name = format!("{metric}{{pool=\"{pool}\"}} ");
        let line = rendered.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    fn held(&self, pool: &str) -> f64 {
        let held = self.value("yaks_memory_held_bytes", pool);
        let max = self.value("yaks_memory_max_bytes", pool);
        assert!(max > 0.0 && held <= max, "{held} of {max} bytes in {pool}");
        held
    }

    async fn until(&self, pool: &str, reached: impl Fn(f64) -> bool) {
        let began = Instant::now();
        while !reached(self.held(pool)) {
            assert!(
                began.elapsed() < PATIENCE,
                "{} bytes are held in {pool}",
                self.held(pool)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// All from `offset` on, up to `bytes_max`.
fn request(offset: i64, bytes_max: usize) -> FetchRequest {
    let bytes_max = i32::try_from(bytes_max).unwrap();
    let partition = FetchPartition::default()
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(bytes_max);
    let topic = FetchTopic::default()
        .with_topic(topic_name("t"))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(bytes_max)
        .with_topics(vec![topic])
}

async fn filled(agent: &Agent) -> Client {
    let mut client = agent.connect().await;
    client.create_topic("t").await;
    for _ in 0..BATCHES {
        client.produce("t", ALL, large_batch(BATCH)).await;
    }
    client
}

/// How many records there are from `offset` to the end, as far as they came.
async fn read_on(reader: &mut Client, offset: i64) -> i64 {
    let answer: FetchResponse = reader.ask(ApiKey::Fetch, VERSION, request(offset, EVERYTHING)).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let read = values(partition.records.clone().unwrap_or_default(), offset).len();
    i64::try_from(read).unwrap()
}

/// Clients that ask for so much and take nothing of it.
async fn slow_readers(agent: &Agent, bytes_max: usize) -> Vec<Client> {
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut client = agent.connect_over(PIPE_BYTES).await;
        client.send(ApiKey::Fetch, VERSION, request(0, bytes_max)).await;
        slow.push(client);
    }
    slow
}

#[tokio::test(start_paused = true)]
async fn slow_readers_hold_no_more_than_the_pool_and_those_beside_them_are_served() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let pools = Pools::of(&recorder);
    let world = World::new();
    let agent = world.agent(&[MEMORY]).await;
    let mut reader = filled(&agent).await;

    let slow = slow_readers(&agent, EVERYTHING).await;
    let all = pools.value("yaks_memory_max_bytes", "answers");
    pools.until("answers", |held| held > all - 2.0 * BATCH as f64).await;

    let began = Instant::now();
    let mut read = 0;
    while read < BATCHES as i64 {
        read += read_on(&mut reader, read).await;
        pools.held("answers");
        assert!(began.elapsed() < 2 * TAKING_PATIENCE, "{read} of {BATCHES}");
    }
    assert!(pools.value("yaks_memory_shortened_total", "answers") > 0.0);

    drop(slow);
    pools.until("answers", |held| held == 0.0).await;
    let began = Instant::now();
    assert_eq!(read_on(&mut reader, 0).await, BATCHES as i64);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nobody is in the way any more"
    );
}

#[tokio::test(start_paused = true)]
async fn slow_readers_of_old_data_are_in_nobodys_way_at_the_tail() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let pools = Pools::of(&recorder);
    let world = World::new();
    let agent = world.agent(&[MEMORY]).await;
    let mut reader = filled(&agent).await;

    let slow = slow_readers(&agent, BATCHES * BATCH / 2).await;
    let all = pools.value("yaks_memory_max_bytes", "cold_answers");
    pools
        .until("cold_answers", |held| held > all - 2.0 * BATCH as f64)
        .await;
    let began = Instant::now();
    let last = i64::try_from(BATCHES).unwrap() - 1;
    assert_eq!(reader.fetch("t", last).await.unwrap().len(), 1);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(slow);
    pools.until("cold_answers", |held| held == 0.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_found_no_room_beside_others_is_read_alone() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let pools = Pools::of(&recorder);
    let world = World::new();
    let large = 12_000_000;
    let sizes = ["--message-max-bytes=20000000", "--flush-bytes=30000000"];
    let agent = world.agent(&[&[MEMORY][..], &sizes].concat()).await;
    let mut reader = agent.connect().await;
    reader.create_topic("t").await;
    // Both in one object, and so in one row.
    let mut beside = agent.connect().await;
    tokio::join!(
        reader.produce("t", ALL, large_batch(large)),
        beside.produce("t", ALL, large_batch(large)),
    );
    let slow = slow_readers(&agent, 3 * large).await;
    let all = pools.value("yaks_memory_max_bytes", "answers");
    pools.until("answers", |held| held > all / 2.0).await;

    let began = Instant::now();
    let mut read = 0;
    while read < 2 {
        read += reader.fetch("t", read).await.unwrap().len() as i64;
        pools.held("answers");
        assert!(began.elapsed() < PATIENCE, "it never comes");
    }
    drop(slow);
    pools.until("answers", |held| held == 0.0).await;
}
