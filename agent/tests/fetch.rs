//! Fetch as clients see it, in a cluster in one process: sessions, topic ids, limits, zones; and what the clients of a listener are
//! told.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod slow_readers;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;
use world::{ALL, Client, World, batch, large_batch, topic_name, values};

const BY_NAME: i16 = 12;
const BY_ID: i16 = 17;
const METADATA_VERSION: i16 = 12;
const BATCH_OVERHEAD_MAX: usize = 100;

/// A reader within one fetch session.
struct Reader {
    version: i16,
    session: i32,
    epoch: i32,
}

impl Reader {
    fn new(version: i16) -> Self {
        Self {
            version,
            session: 0,
            epoch: 0,
        }
    }

    /// Names these topics' only partitions with the offsets to read from, and goes on in the session.
    async fn fetch(&mut self, client: &mut Client, topics: &[(&Topic, i64)]) -> FetchResponse {
        let request = request(self.version, topics);
        self.send(client, request).await
    }

    async fn send(&mut self, client: &mut Client, request: FetchRequest) -> FetchResponse {
        let request = request.with_session_id(self.session).with_session_epoch(self.epoch);
        let response: FetchResponse = client.ask(ApiKey::Fetch, self.version, request).await;
        if response.error_code == 0 {
            (self.session, self.epoch) = (response.session_id, self.epoch + 1);
        }
        response
    }
}

struct Topic {
    name: &'static str,
    id: Uuid,
}

fn request(version: i16, topics: &[(&Topic, i64)]) -> FetchRequest {
    let topic = |(topic, offset): &(&Topic, i64)| {
        let partition = FetchPartition::default()
            .with_current_leader_epoch(-1)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20);
        let named = if version == BY_ID {
            FetchTopic::default().with_topic_id(topic.id)
        } else {
            FetchTopic::default().with_topic(topic_name(topic.name))
        };
        named.with_partitions(vec![partition])
    };
    FetchRequest::default()
        .with_max_wait_ms(50)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(topics.iter().map(topic).collect())
}

async fn create(client: &mut Client, name: &'static str) -> Topic {
    client.create_topic(name).await;
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let metadata = metadata(client, vec![topic]).await;
    Topic {
        name,
        id: metadata.topics[0].topic_id,
    }
}

async fn delete(client: &mut Client, topic: &Topic) {
    let state = DeleteTopicState::default().with_name(Some(topic_name(topic.name)));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![state])
        .with_timeout_ms(10_000);
    let response: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, request).await;
    assert_eq!(response.responses[0].error_code, 0);
}

async fn metadata(client: &mut Client, topics: Vec<MetadataRequestTopic>) -> MetadataResponse {
    let request = MetadataRequest::default().with_topics(Some(topics));
    client.ask(ApiKey::Metadata, METADATA_VERSION, request).await
}

/// By name or id: error and values of each partition in the answer.
fn partitions(response: &FetchResponse) -> BTreeMap<String, (i16, Vec<String>)> {
    let topics = response.responses.iter();
    topics
        .map(|topic| {
            let partition = &topic.partitions[0];
            let values = values(partition.records.clone().unwrap_or_default(), 0);
            let key = if topic.topic_id.is_nil() {
                topic.topic.to_string()
            } else {
                topic.topic_id.to_string()
            };
            (key, (partition.error_code, values))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_told_only_what_is_new_in_it() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    for version in [BY_NAME, BY_ID] {
        let a = create(&mut client, if version == BY_NAME { "a1" } else { "a2" }).await;
        let b = create(&mut client, if version == BY_NAME { "b1" } else { "b2" }).await;
        let key = |topic: &Topic| {
            if version == BY_NAME {
                topic.name.to_owned()
            } else {
                topic.id.to_string()
            }
        };
        let mut reader = Reader::new(version);
        let first = reader.fetch(&mut client, &[(&a, 0), (&b, 0)]).await;
        assert_eq!((partitions(&first).len(), first.session_id != 0), (2, true));
        let asked = Instant::now();
        assert_eq!(reader.fetch(&mut client, &[]).await.responses.len(), 0);
        assert!(
            asked.elapsed() >= Duration::from_millis(50),
            "it waited for something to read"
        );

        client.produce(b.name, ALL, batch("one")).await;
        let news = partitions(&reader.fetch(&mut client, &[]).await);
        assert_eq!(news, BTreeMap::from([(key(&b), (0, vec!["one".to_owned()]))]));
        assert_eq!(reader.fetch(&mut client, &[(&b, 1)]).await.responses.len(), 0);

        let forgotten = if version == BY_ID {
            ForgottenTopic::default().with_topic_id(b.id)
        } else {
            ForgottenTopic::default().with_topic(topic_name(b.name))
        };
        let forgets = request(version, &[]).with_forgotten_topics_data(vec![forgotten.with_partitions(vec![0])]);
        reader.send(&mut client, forgets).await;
        client.produce(b.name, ALL, batch("unread")).await;
        client.produce(a.name, ALL, batch("two")).await;
        let news = partitions(&reader.fetch(&mut client, &[]).await);
        assert_eq!(news, BTreeMap::from([(key(&a), (0, vec!["two".to_owned()]))]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_refused_by_an_agent_that_does_not_know_it_and_out_of_turn() {
    let world = World::new();
    let (agent, other) = (world.agent(&[]).await, world.agent(&[]).await);
    let (mut client, mut elsewhere) = (agent.connect().await, other.connect().await);
    let topic = create(&mut client, "t").await;
    let mut reader = Reader::new(BY_ID);
    reader.fetch(&mut client, &[(&topic, 0)]).await;

    let refused = reader.fetch(&mut elsewhere, &[]).await;
    assert_eq!(refused.error_code, ResponseError::FetchSessionIdNotFound.code());
    assert_eq!((refused.session_id, refused.responses.len()), (0, 0));
    let mut early = Reader { epoch: 7, ..reader };
    let refused = early.fetch(&mut client, &[]).await;
    assert_eq!(refused.error_code, ResponseError::InvalidFetchSessionEpoch.code());
    let mut by_name = Reader {
        version: BY_NAME,
        epoch: 1,
        ..early
    };
    let refused = by_name.fetch(&mut client, &[]).await;
    assert_eq!(refused.error_code, ResponseError::FetchSessionTopicIdError.code());
}

#[tokio::test(start_paused = true)]
async fn a_topic_id_that_is_gone_says_what_became_of_it() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    let (topic, kept) = (create(&mut client, "t").await, create(&mut client, "kept").await);
    let error = |response: &FetchResponse, topic: &Topic| partitions(response).get(&topic.id.to_string()).map(|p| p.0);
    let mut reader = Reader::new(BY_ID);
    reader.fetch(&mut client, &[(&topic, 0), (&kept, 0)]).await;
    delete(&mut client, &topic).await;
    // The view learns of it within a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let gone = reader.fetch(&mut client, &[]).await;
    assert_eq!(
        error(&gone, &topic),
        Some(ResponseError::UnknownTopicOrPartition.code())
    );
    create(&mut client, "t").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let replaced = reader.fetch(&mut client, &[]).await;
    assert_eq!(
        error(&replaced, &topic),
        Some(ResponseError::InconsistentTopicId.code())
    );
    assert_eq!(error(&replaced, &kept), None, "of the other there is no news");

    let stranger = Reader::new(BY_ID).fetch(&mut client, &[(&topic, 0)]).await;
    assert_eq!(error(&stranger, &topic), Some(ResponseError::UnknownTopicId.code()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_epoch_from_elsewhere_is_refused() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    let topic = create(&mut client, "t").await;
    for (epoch, error) in [(-1, 0), (0, 0), (1, ResponseError::UnknownLeaderEpoch.code())] {
        let mut request = request(BY_NAME, &[(&topic, 0)]);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = Reader::new(BY_NAME).send(&mut client, request).await;
        assert_eq!(response.responses[0].partitions[0].error_code, error, "epoch {epoch}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_small_limits_every_partition_gets_its_turn_and_no_answer_is_too_large() {
    const BATCH: usize = 1000;
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    let names = ["t0", "t1", "t2", "t3", "t4"];
    let mut topics = Vec::new();
    for name in names {
        let topic = create(&mut client, name).await;
        for _ in 0..4 {
            client.produce(name, ALL, large_batch(BATCH)).await;
        }
        topics.push(topic);
    }
    let mut next: BTreeMap<&str, i64> = names.iter().map(|name| (*name, 0)).collect();
    let mut reader = Reader::new(BY_NAME);
    // Room for two batches: five partitions of four take ten answers.
    let bytes_max = 2 * (BATCH + BATCH_OVERHEAD_MAX);
    for turn in 0..10 {
        let wanted: Vec<(&Topic, i64)> = topics.iter().map(|topic| (topic, next[topic.name])).collect();
        let request = request(BY_NAME, &wanted).with_max_bytes(i32::try_from(bytes_max).unwrap());
        let response = reader.send(&mut client, request).await;
        let records = response
            .responses
            .iter()
            .map(|topic| topic.partitions[0].records.as_ref());
        let bytes: usize = records.flatten().map(bytes::Bytes::len).sum();
        assert!(bytes > BATCH && bytes <= bytes_max, "turn {turn}: {bytes}");
        for (name, (_, values)) in partitions(&response) {
            *next.get_mut(name.as_str()).unwrap() += i64::try_from(values.len()).unwrap();
        }
        let (least, most) = (next.values().min().unwrap(), next.values().max().unwrap());
        assert!(most - least <= 2, "turn {turn}: {next:?}");
    }
    assert!(next.values().all(|next| *next == 4), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_batch_larger_than_all_limits_comes_alone() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    let (a, b) = (create(&mut client, "a").await, create(&mut client, "b").await);
    client.produce("a", ALL, large_batch(5000)).await;
    client.produce("b", ALL, large_batch(5000)).await;
    let mut request = request(BY_NAME, &[(&a, 0), (&b, 0)]).with_max_bytes(100);
    for topic in &mut request.topics {
        topic.partitions[0].partition_max_bytes = 100;
    }
    let mut reader = Reader::new(BY_NAME);
    let first = partitions(&reader.send(&mut client, request).await);
    assert_eq!((first["a"].1.len(), first["b"].1.len()), (1, 0));
    let second = partitions(&reader.fetch(&mut client, &[]).await);
    assert_eq!(second["b"].1.len(), 1, "now it is its turn");
}

#[tokio::test(start_paused = true)]
async fn an_empty_fetch_is_answered_at_once() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    let asked = Instant::now();
    let request = request(BY_NAME, &[]).with_max_wait_ms(60_000);
    let response = Reader::new(BY_NAME).send(&mut client, request).await;
    assert_eq!((response.error_code, response.responses.len()), (0, 0));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn readers_at_the_tail_share_one_question_per_commit() {
    const READERS: usize = 10;
    const RECORDS: usize = 20;
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut producer = agent.connect().await;
    create(&mut producer, "logs").await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut client = agent.connect().await;
        readers.push(tokio::spawn(async move { client.read("logs", 0, RECORDS).await }));
    }
    for n in 0..RECORDS {
        let told = producer.produce("logs", ALL, batch(&n.to_string())).await;
        assert_eq!(told, (0, i64::try_from(n).unwrap()));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap().len(), RECORDS);
    }
    let (asked, alone) = (world.postgres.plans(), 2 * READERS * RECORDS);
    assert!(
        asked < u64::try_from(alone / 4).unwrap(),
        "{asked} questions; each reader for himself would ask {alone}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_with_little_patience_gets_what_was_acked_by_another_agent_before_he_asked() {
    let world = World::new();
    let (here, there) = (world.agent(&[]).await, world.agent(&[]).await);
    let (mut reader, mut producer) = (here.connect().await, there.connect().await);
    create(&mut producer, "logs").await;
    // Longer than the reader waits.
    world.postgres.slow(Duration::from_millis(3));
    for n in 0..20 {
        let value = n.to_string();
        assert_eq!(producer.produce("logs", ALL, batch(&value)).await, (0, n));
        let read = reader.fetch_within("logs", n, Duration::from_millis(1)).await;
        assert_eq!(read, Ok(vec![value]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_at_the_tail_is_not_served_what_was_just_deleted() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    create(&mut client, "logs").await;
    for n in 0..3 {
        client.produce("logs", ALL, batch(&n.to_string())).await;
        assert_eq!(client.read("logs", n, 1).await, [n.to_string()]);
    }
    let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(2);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name("logs"))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(1000);
    let deleted: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, request).await;
    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 2);
    let wait = Duration::from_secs(1);
    assert_eq!(
        client.fetch_within("logs", 1, wait).await,
        Err(ResponseError::OffsetOutOfRange)
    );
    assert_eq!(client.fetch_within("logs", 2, wait).await, Ok(vec!["2".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_another_zone_is_sent_to_an_agent_there() {
    let world = World::new();
    let near = world.agent(&["--rack=zone-a", "--advertised-host=a"]).await;
    let far = world.agent(&["--rack=zone-b", "--advertised-host=b"]).await;
    near.until_ready(true).await;
    far.until_ready(true).await;
    let mut client = near.connect().await;
    let topic = create(&mut client, "t").await;
    client.produce("t", ALL, batch("one")).await;
    // Both know of each other by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let brokers = metadata(&mut client, vec![]).await.brokers;
    let of_b = brokers.iter().find(|broker| broker.host.as_str() == "b").unwrap();
    let in_rack = |rack: &'static str| request(BY_NAME, &[(&topic, 0)]).with_rack_id(StrBytes::from_static_str(rack));

    let asked = Instant::now();
    let sent_away = Reader::new(BY_NAME)
        .send(&mut client, in_rack("zone-b").with_max_wait_ms(9000))
        .await;
    let partition = &sent_away.responses[0].partitions[0];
    assert_eq!(partition.preferred_read_replica, of_b.node_id);
    assert_eq!((partition.error_code, partition.high_watermark), (0, 1));
    assert!(partition.records.as_ref().is_none_or(|records| records.is_empty()));
    assert!(asked.elapsed() < Duration::from_secs(1), "nothing to wait for");
    let shown = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let shown = metadata(&mut client, vec![shown]).await;
    assert!(shown.topics[0].partitions[0].replica_nodes.contains(&of_b.node_id));

    let mut there = far.connect().await;
    for (client, rack) in [(&mut there, "zone-b"), (&mut client, "zone-a")] {
        let served = Reader::new(BY_NAME).send(client, in_rack(rack)).await;
        assert_eq!(partitions(&served)["t"], (0, vec!["one".to_owned()]), "{rack}");
        assert_eq!(served.responses[0].partitions[0].preferred_read_replica.0, -1);
    }
    let nowhere = Reader::new(BY_NAME).send(&mut client, in_rack("zone-z")).await;
    assert_eq!(partitions(&nowhere)["t"].1.len(), 1, "nobody lives there");
    let mut beyond = in_rack("zone-b");
    beyond.topics[0].partitions[0].fetch_offset = 99;
    let beyond = Reader::new(BY_NAME).send(&mut client, beyond).await;
    assert_eq!(partitions(&beyond)["t"].0, ResponseError::OffsetOutOfRange.code());
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_the_addresses_of_the_listener_they_came_through() {
    let world = World::new();
    let two = |n: u16| format!("--listeners=INTERNAL://:{n}1=agent-{n}:29092,EXTERNAL://:{n}2=localhost:909{n}");
    let first = world.agent(&[&two(1)]).await;
    let _second = world.agent(&[&two(2)]).await;
    let _third = world.agent(&["--listeners=INTERNAL://:31=agent-3:29092"]).await;
    first.until_ready(true).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (listener, expected) in [
        ("INTERNAL", vec!["agent-1:29092", "agent-2:29092", "agent-3:29092"]),
        ("EXTERNAL", vec!["localhost:9091", "localhost:9092"]),
    ] {
        let mut client = first.connect_through(listener).await;
        let metadata = metadata(&mut client, vec![]).await;
        let mut shown: Vec<String> = metadata
            .brokers
            .iter()
            .map(|broker| format!("{}:{}", broker.host, broker.port))
            .collect();
        shown.sort();
        assert_eq!(shown, expected, "{listener}");
        let key = StrBytes::from_static_str("group");
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![key]);
        let found: FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, request).await;
        let found = &found.coordinators[0];
        assert!(
            expected.contains(&format!("{}:{}", found.host, found.port).as_str()),
            "{found:?}"
        );
    }
}
