//! A Kafka client as users have it: librdkafka, told nothing about yaks.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

/// How long anything may take that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of a producer, besides the broker.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// A cluster, as its clients see it.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    bootstrap: String,
}

/// What became of one record: partition and offset, or why not.
pub(crate) type Delivery = Result<i64, RDKafkaErrorCode>;

impl Kafka {
    pub(crate) fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
        }
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.max.ms", "500")
            .set("topic.metadata.refresh.interval.ms", "2000");
        config
    }

    /// Creates a topic with a name of its own that begins with `prefix`.
    pub(crate) fn create_topic(&self, prefix: &str, partitions: i32) -> String {
        let name = format!("{prefix}-{}", uuid::Uuid::new_v4().simple());
        self.create(&name, partitions).unwrap();
        name
    }

    pub(crate) fn create(&self, name: &str, partitions: i32) -> Result<(), RDKafkaErrorCode> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let admin = self.admin();
        let outcome = block_on(admin.create_topics([&topic], &AdminOptions::new()))
            .unwrap()
            .remove(0);
        outcome.map(drop).map_err(|(_, code)| code)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), RDKafkaErrorCode> {
        let admin = self.admin();
        let outcome = block_on(admin.delete_topics(&[name], &AdminOptions::new()))
            .unwrap()
            .remove(0);
        outcome.map(drop).map_err(|(_, code)| code)
    }

    /// Names of all topics.
    pub(crate) fn topics(&self) -> Vec<String> {
        let metadata = self.consumer().fetch_metadata(None, PATIENCE).unwrap();
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    /// `host:port` of all brokers, as this client is told.
    pub(crate) fn broker_addresses(&self) -> Vec<String> {
        let metadata = self.consumer().fetch_metadata(None, PATIENCE).unwrap();
        let addresses = metadata.brokers().iter();
        let mut addresses: Vec<String> = addresses
            .map(|broker| format!("{}:{}", broker.host(), broker.port()))
            .collect();
        addresses.sort();
        addresses
    }

    /// Ids of all brokers.
    pub(crate) fn brokers(&self) -> Vec<i32> {
        let metadata = self.consumer().fetch_metadata(None, PATIENCE).unwrap();
        metadata.brokers().iter().map(|broker| broker.id()).collect()
    }

    /// Sends `values` to one partition and waits for the fate of each, in order.
    pub(crate) fn produce(
        &self,
        topic: &str,
        partition: i32,
        values: &[Vec<u8>],
        settings: Settings<'_>,
    ) -> Vec<Delivery> {
        let producer = self.producer(settings);
        for value in values {
            producer.send(topic, partition, value);
        }
        producer.deliveries()
    }

    /// The same, and every record has to be acked.
    pub(crate) fn produce_all(
        &self,
        topic: &str,
        partition: i32,
        values: &[Vec<u8>],
        settings: Settings<'_>,
    ) -> Vec<i64> {
        self.produce(topic, partition, values, settings)
            .into_iter()
            .map(Result::unwrap)
            .collect()
    }

    pub(crate) fn producer(&self, settings: Settings<'_>) -> KafkaProducer {
        let mut config = self.client();
        for (name, value) in settings {
            config.set(*name, *value);
        }
        KafkaProducer {
            client: config.create_with_context(Deliveries::default()).unwrap(),
        }
    }

    pub(crate) fn consumer(&self) -> BaseConsumer {
        self.consumer_with(&[])
    }

    pub(crate) fn consumer_with(&self, settings: Settings<'_>) -> BaseConsumer {
        let mut config = self.client();
        config
            .set("group.id", "e2e")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().unwrap()
    }

    /// A consumer that is about to read `partition` from `offset` on.
    pub(crate) fn consumer_at(&self, topic: &str, partition: i32, offset: i64, settings: Settings<'_>) -> BaseConsumer {
        let consumer = self.consumer_with(settings);
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
        consumer.assign(&assignment).unwrap();
        consumer
    }

    /// The first `count` records of a partition from `offset` on, with their offsets; fewer when they do not come.
    pub(crate) fn read(&self, topic: &str, partition: i32, offset: i64, count: usize) -> Vec<(i64, Vec<u8>)> {
        read_from(&self.consumer_at(topic, partition, offset, &[]), count, PATIENCE)
    }

    /// The first and the next offset of a partition, as the broker says.
    pub(crate) fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.consumer().fetch_watermarks(topic, partition, PATIENCE).unwrap()
    }

    /// The first offset whose record is not older than `timestamp_ms`.
    pub(crate) fn offset_at(&self, topic: &str, partition: i32, timestamp_ms: i64) -> Offset {
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(topic, partition, Offset::Offset(timestamp_ms))
            .unwrap();
        let found = self.consumer().offsets_for_times(wanted, PATIENCE).unwrap();
        found.find_partition(topic, partition).unwrap().offset()
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }
}

/// Polls until `count` records came, or `patience` is used up.
pub(crate) fn read_from(consumer: &BaseConsumer, count: usize, patience: Duration) -> Vec<(i64, Vec<u8>)> {
    let deadline = Instant::now() + patience;
    let mut records = Vec::new();
    while records.len() < count && Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100).min(patience)) {
            records.push((message.offset(), message.payload().unwrap_or_default().to_vec()));
        }
    }
    records
}

/// `count` values that differ, of a length that compresses.
pub(crate) fn values(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("value {n} {}", "and so on ".repeat(20)).into_bytes())
        .collect()
}

/// `values` as `read` returns them when they lie from `offset` on.
pub(crate) fn at_offsets(offset: i64, values: &[Vec<u8>]) -> Vec<(i64, Vec<u8>)> {
    (offset..).zip(values.iter().cloned()).collect()
}

/// A producer that keeps its delivery reports.
pub(crate) struct KafkaProducer {
    client: BaseProducer<Deliveries>,
}

impl KafkaProducer {
    pub(crate) fn send(&self, topic: &str, partition: i32, value: &[u8]) {
        self.send_at(topic, partition, value, None);
    }

    /// With a timestamp of its own.
    pub(crate) fn send_at(&self, topic: &str, partition: i32, value: &[u8], timestamp_ms: Option<i64>) {
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).partition(partition).payload(value);
        record.timestamp = timestamp_ms;
        while let Err((error, unsent)) = self.client.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
            self.client.poll(Duration::from_millis(100));
            record = unsent;
        }
    }

    /// What a transactional producer does first.
    pub(crate) fn init_transactions(&self) -> Result<(), KafkaError> {
        self.client.init_transactions(PATIENCE)
    }

    /// Waits for the reports of everything sent and takes them.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.client.flush(PATIENCE).unwrap();
        std::mem::take(&mut self.client.context().0.lock().unwrap())
    }
}

#[derive(Default)]
pub(crate) struct Deliveries(Mutex<Vec<Delivery>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        let delivery = match report {
            Ok(message) => Ok(message.offset()),
            Err((KafkaError::MessageProduction(code), _)) => Err(*code),
            Err((error, _)) => panic!("unexpected delivery report: {error}"),
        };
        self.0.lock().unwrap().push(delivery);
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
