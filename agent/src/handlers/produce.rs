//! Produce.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use metrics::counter;
use telemetry::TraceContext;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use types::{Offset, PartitionIndex, TimestampMs, TopicId, TopicName};

use crate::broker::Broker;
use crate::client::Client;
use crate::cluster::view::Topic;
use crate::error::{ACK_TIMED_OUT, Asked, STOPPING, of_batch, of_metastore, of_outcome};
use crate::fetch::wait::PartitionKey;
use crate::frame::BytePermit;
use crate::handlers::wire::text;
use crate::metrics::{BATCHES_REFUSED, PRODUCE_BYTES};
use crate::produce::ack::{AckLevel, BatchAck, PendingAck};
use crate::produce::buffer::Entry;
use crate::produce::unknown_offset::unknown_offset;
use crate::produce::validate::TopicRules;

/// First version that names topics by id (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;

/// How long an answer waits for a detail of it.
const LOG_START_PATIENCE: Duration = Duration::from_secs(1);

/// What becomes of a Produce request.
pub enum ProduceReply {
    /// The answer, once its data are safe. Dropping the future gives up the answer only, never the data.
    Answer(BoxFuture<'static, ProduceResponse>),
    /// `acks=0`, all well: there is no answer.
    Nothing,
    /// `acks=0`, and something failed: closing the connection is the only way to tell.
    Close,
}

/// A partition of the request: refused, or on its way.
enum Fate {
    Refused(ResponseError, Option<String>),
    Waiting(Promise),
}

/// A batch on its way.
struct Promise {
    told: oneshot::Receiver<BatchAck>,
    appended_at: Option<TimestampMs>,
    partition: PartitionKey,
    /// The base offset to tell as long as there is none.
    unknown_offset: Offset,
}

struct TopicFate {
    name: kafka_protocol::messages::TopicName,
    id: uuid::Uuid,
    partitions: Vec<(i32, Fate)>,
}

/// Enters the request's batches into the buffer before it returns, so that requests of one connection keep their order;
/// only the wait for the ack is left to the reply.
pub async fn handle(
    broker: &Arc<Broker>,
    client: &Client,
    version: i16,
    request: ProduceRequest,
    permit: Arc<BytePermit>,
) -> ProduceReply {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or_default());
    let intake = Intake {
        broker,
        client,
        version,
        acks: request.acks,
        permit,
        trace: TraceContext::current(),
    };
    let whole_error = refuse_whole(&request);
    let mut entries = Vec::new();
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        topics.push(intake.topic(topic, whole_error, &mut entries).await);
    }
    if !entries.is_empty() && broker.writer.append(entries).await.is_err() {
        refuse_all(&mut topics, STOPPING);
    }
    if request.acks == 0 {
        let refused = |topic: &TopicFate| {
            topic
                .partitions
                .iter()
                .any(|(_, fate)| matches!(fate, Fate::Refused(..)))
        };
        return if topics.iter().any(refused) {
            ProduceReply::Close
        } else {
            ProduceReply::Nothing
        };
    }
    ProduceReply::Answer(answer(Arc::clone(broker), topics, deadline).boxed())
}

/// Why no partition of the request can be served.
fn refuse_whole(request: &ProduceRequest) -> Option<ResponseError> {
    if !matches!(request.acks, -1..=1) {
        return Some(ResponseError::InvalidRequiredAcks);
    }
    request
        .transactional_id
        .as_ref()
        .map(|_| ResponseError::TransactionalIdAuthorizationFailed)
}

fn refuse_all(topics: &mut [TopicFate], error: ResponseError) {
    for (_, fate) in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if matches!(fate, Fate::Waiting(_)) {
            *fate = Fate::Refused(error, None);
        }
    }
}

/// Takes batches in on behalf of one request.
struct Intake<'a> {
    broker: &'a Arc<Broker>,
    client: &'a Client,
    version: i16,
    acks: i16,
    permit: Arc<BytePermit>,
    trace: Option<TraceContext>,
}

impl Intake<'_> {
    async fn topic(
        &self,
        data: TopicProduceData,
        whole_error: Option<ResponseError>,
        entries: &mut Vec<Entry>,
    ) -> TopicFate {
        let topic = match whole_error {
            Some(error) => Err(error),
            None => self.find_topic(&data).await,
        };
        let partitions = data.partition_data.into_iter().map(|partition| {
            let index = partition.index;
            let fate = match &topic {
                Err(error) => Fate::Refused(*error, None),
                Ok(topic) => self.partition(topic, partition, entries),
            };
            (index, fate)
        });
        let partitions = partitions.collect();
        TopicFate {
            // A copy: the name is a piece of the frame, which would stay in memory until the answer leaves, counted no more.
            name: kafka_protocol::messages::TopicName(text(&data.name)),
            id: data.topic_id,
            partitions,
        }
    }

    async fn find_topic(&self, data: &TopicProduceData) -> Result<Arc<Topic>, ResponseError> {
        let unavailable = |error| of_metastore(&error, Asked::Topics);
        let cluster = &self.broker.cluster;
        // A topic may have grown since we last looked.
        let last = data.partition_data.iter().map(|partition| partition.index).max();
        let last = PartitionIndex(last.unwrap_or_default());
        if self.version >= TOPIC_IDS_SINCE {
            let id = TopicId(data.topic_id);
            let found = cluster.find_topic_with(|snapshot| snapshot.topic_by_id(id), last).await;
            return found.map_err(unavailable)?.ok_or(ResponseError::UnknownTopicId);
        }
        let name = TopicName::new(&data.name).map_err(|_| ResponseError::InvalidTopicException)?;
        let found = cluster
            .find_topic_with(|snapshot| snapshot.topic_by_name(&name), last)
            .await;
        found
            .map_err(unavailable)?
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }

    fn partition(&self, topic: &Topic, data: PartitionProduceData, entries: &mut Vec<Entry>) -> Fate {
        if !(0..topic.partition_count).contains(&data.index) {
            return Fate::Refused(ResponseError::UnknownTopicOrPartition, None);
        }
        let records = data.records.unwrap_or_default();
        let bytes = records.len() as u64;
        let rules = TopicRules::new(&topic.settings, self.version, self.broker.batch_bytes_max);
        let batch = match rules.accept(records, self.broker.clock.now()) {
            Ok(batch) => batch,
            Err(error) => {
                counter!(BATCHES_REFUSED).increment(1);
                return Fate::Refused(of_batch(&error), Some(error.to_string()));
            }
        };
        let level = AckLevel::of(self.broker.ack_mode, self.acks, batch.header.producer_id.is_some());
        let (ack, told) = PendingAck::new(level);
        counter!(PRODUCE_BYTES).increment(bytes);
        let unknown_offset = unknown_offset(self.client, batch.header.offset_span());
        entries.push(Entry {
            topic: topic.id,
            topic_name: topic.name.clone(),
            partition: PartitionIndex(data.index),
            header: batch.header,
            bytes: batch.bytes,
            ack,
            permit: Some(Arc::clone(&self.permit)),
            trace: self.trace,
        });
        Fate::Waiting(Promise {
            told,
            appended_at: batch.appended_at,
            partition: (topic.number, PartitionIndex(data.index)),
            unknown_offset,
        })
    }
}

async fn answer(broker: Arc<Broker>, topics: Vec<TopicFate>, deadline: Instant) -> ProduceResponse {
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (index, fate) in topic.partitions {
            partitions.push(partition_response(&broker, index, fate, deadline).await);
        }
        let response = TopicProduceResponse::default()
            .with_name(topic.name)
            .with_topic_id(topic.id);
        responses.push(response.with_partition_responses(partitions));
    }
    ProduceResponse::default().with_responses(responses)
}

async fn partition_response(broker: &Broker, index: i32, fate: Fate, deadline: Instant) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default()
        .with_index(index)
        .with_base_offset(Offset::UNKNOWN.0)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(Offset::UNKNOWN.0);
    let refused = match fate {
        Fate::Refused(error, message) => {
            response.error_message = message.map(StrBytes::from_string);
            Err(error)
        }
        Fate::Waiting(promise) => {
            let kept = promised(promise.told, promise.unknown_offset, deadline).await;
            if kept.is_ok() {
                response.log_append_time_ms = promise.appended_at.map_or(-1, |at| at.0);
            }
            if kept == Err(ResponseError::UnknownProducerId) {
                response.log_start_offset = log_start(broker, promise.partition).await.0;
            }
            kept
        }
    };
    match refused {
        Ok(offset) => response.base_offset = offset.0,
        Err(error) => response.error_code = error.code(),
    }
    response
}

/// The base offset, or `unknown` where the ack knows of none yet; or why the batch is not there.
async fn promised(
    told: oneshot::Receiver<BatchAck>,
    unknown: Offset,
    deadline: Instant,
) -> Result<Offset, ResponseError> {
    match timeout_at(deadline, told).await {
        Ok(Ok(BatchAck::Durable)) => Ok(unknown),
        Ok(Ok(BatchAck::Committed(outcome))) => of_outcome(outcome),
        Ok(Err(_dropped)) => Err(STOPPING),
        Err(_late) => Err(ACK_TIMED_OUT),
    }
}

/// Where the log starts, for a producer that is not known any more: from it the Java client sees that nothing of its own
/// was lost to retention, and starts over. With -1 it would only send the same again.
async fn log_start(broker: &Broker, partition: PartitionKey) -> Offset {
    let asked = timeout(LOG_START_PATIENCE, broker.metastore.log_ends(&[partition])).await;
    let ends = asked.ok().and_then(Result::ok);
    let ends = ends.and_then(|ends| ends.get(&partition).copied());
    ends.map_or(Offset::UNKNOWN, |ends| ends.log_start)
}
