//! What clients have in common, and the topics they meet at.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::TargetFlags;

/// How long brokers may take to answer what is asked before a run.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// The settings of a client called `name`, without what the user wants differently: see [`finish`].
pub fn settings(target: &TargetFlags, name: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &target.brokers)
        .set("client.id", name)
        .set("reconnect.backoff.max.ms", "1000");
    client
}

/// The user's settings on top.
pub fn finish(target: &TargetFlags, mut client: ClientConfig) -> ClientConfig {
    for (key, value) in &target.settings {
        client.set(key, value);
    }
    client
}

/// A consumer without subscriptions, in a group of this name.
pub fn consumer(target: &TargetFlags, group: &str) -> Result<BaseConsumer> {
    let mut client = settings(target, group);
    client
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        // The default of 64 MiB is per consumer, and there may be many.
        .set("queued.max.messages.kbytes", "32768");
    finish(target, client).create().context("could not set up a consumer")
}

/// How many partitions a topic has; `None` when it is not there.
pub fn partitions(target: &TargetFlags, topic: &str) -> Result<Option<i32>> {
    let client = consumer(target, "yaks-bench-look")?;
    let metadata = client
        .fetch_metadata(None, ASK_TIMEOUT)
        .with_context(|| format!("no broker answers at {}", target.brokers))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.and_then(|found| i32::try_from(found.partitions().len()).ok()))
}

/// Makes the topic if it is not there. Returns how many partitions it has.
pub fn ensure_topic(target: &TargetFlags, topic: &str, wanted: i32) -> Result<i32> {
    if let Some(found) = partitions(target, topic)? {
        return Ok(found);
    }
    let admin: AdminClient<DefaultClientContext> = finish(target, settings(target, "yaks-bench-admin")).create()?;
    let options = AdminOptions::new()
        .request_timeout(Some(ASK_TIMEOUT))
        .operation_timeout(Some(ASK_TIMEOUT));
    // -1: as many as the brokers think right, which one broker can do as well as three.
    let new = NewTopic::new(topic, wanted, TopicReplication::Fixed(-1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcomes = runtime
        .block_on(admin.create_topics([&new], &options))
        .with_context(|| format!("could not make topic {topic} at {}", target.brokers))?;
    for outcome in outcomes {
        if let Err((topic, code)) = outcome {
            bail!("could not make topic {topic}: {code}");
        }
    }
    Ok(wanted)
}

/// First and next offset of each partition, in order.
pub fn watermarks(target: &TargetFlags, topic: &str, partitions: i32) -> Result<Vec<(i64, i64)>> {
    let client = consumer(target, "yaks-bench-look")?;
    (0..partitions)
        .map(|partition| {
            patiently(|| client.fetch_watermarks(topic, partition, ASK_TIMEOUT))
                .with_context(|| format!("cannot find the end of {topic}/{partition}"))
        })
        .collect()
}

/// Asks again while the leader of a partition that was just made does not know yet that it leads it, as those of Apache Kafka do.
fn patiently<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let deadline = Instant::now() + ASK_TIMEOUT;
    loop {
        match ask() {
            Err(error) if is_too_early(&error) && Instant::now() < deadline => thread::sleep(PAUSE),
            answered => return answered,
        }
    }
}

fn is_too_early(error: &KafkaError) -> bool {
    // The last one is librdkafka's own word, where a broker does not name the partition yet.
    let too_early = [
        RDKafkaErrorCode::LeaderNotAvailable,
        RDKafkaErrorCode::NotLeaderForPartition,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownPartition,
    ];
    error.rdkafka_error_code().is_some_and(|code| too_early.contains(&code))
}
