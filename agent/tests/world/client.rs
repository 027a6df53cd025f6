//! A Kafka client that asks one thing at a time.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use kafka_protocol::records::RecordBatchDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::PRODUCE_TIMEOUT;

const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 11;
const CREATE_TOPICS_VERSION: i16 = 5;

/// A connection to an agent.
pub(crate) struct Client {
    socket: DuplexStream,
    correlation_id: i32,
    /// What its requests say of it.
    pub(crate) client_id: Option<StrBytes>,
}

/// What a partition's fetch brought: its records' values, or an error.
pub(crate) type Fetched = Result<Vec<String>, ResponseError>;

impl Client {
    pub(crate) fn new(socket: DuplexStream) -> Self {
        Self {
            socket,
            correlation_id: 0,
            client_id: None,
        }
    }

    /// A topic of one partition.
    pub(crate) async fn create_topic(&mut self, name: &str) {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        let response: CreateTopicsResponse = self.ask(ApiKey::CreateTopics, CREATE_TOPICS_VERSION, request).await;
        assert_eq!(response.topics[0].error_code, 0);
    }

    /// Error code and base offset.
    pub(crate) async fn produce(&mut self, topic: &str, acks: i16, records: Bytes) -> (i16, i64) {
        let answer = self.produce_answer(topic, acks, records).await;
        (answer.error_code, answer.base_offset)
    }

    pub(crate) async fn produce_answer(&mut self, topic: &str, acks: i16, records: Bytes) -> PartitionProduceResponse {
        let response: ProduceResponse = self
            .ask(ApiKey::Produce, PRODUCE_VERSION, produce_request(topic, acks, records))
            .await;
        response.responses[0].partition_responses[0].clone()
    }

    /// What there is from `offset` on, without waiting.
    pub(crate) async fn fetch(&mut self, topic: &str, offset: i64) -> Fetched {
        self.fetch_within(topic, offset, Duration::ZERO).await
    }

    /// What there is from `offset` on; waits so long for something.
    pub(crate) async fn fetch_within(&mut self, topic: &str, offset: i64, wait: Duration) -> Fetched {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let request = FetchRequest::default()
            .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap())
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic(topic_name(topic))
                    .with_partitions(vec![partition]),
            ]);
        let response: FetchResponse = self.ask(ApiKey::Fetch, FETCH_VERSION, request).await;
        let partition = &response.responses[0].partitions[0];
        match ResponseError::try_from_code(partition.error_code) {
            Some(error) => Err(error),
            None => Ok(values(partition.records.clone().unwrap_or_default(), offset)),
        }
    }

    /// The values from `offset` on, until there are `count`.
    pub(crate) async fn read(&mut self, topic: &str, offset: i64, count: usize) -> Vec<String> {
        let mut read = Vec::new();
        while read.len() < count {
            let next = offset + i64::try_from(read.len()).unwrap();
            read.extend(self.fetch_within(topic, next, Duration::from_secs(60)).await.unwrap());
        }
        read
    }

    /// Whether the agent has closed the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(self.socket.read_u8().await, Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask<Q: Encodable + HeaderVersion, A: Decodable + HeaderVersion>(
        &mut self,
        api: ApiKey,
        version: i16,
        request: Q,
    ) -> A {
        self.send(api, version, request).await;
        let length = self.socket.read_u32().await.expect("an answer");
        let mut answer = vec![0; length as usize];
        self.socket.read_exact(&mut answer).await.unwrap();
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, A::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = A::decode(&mut answer, version).unwrap();
        assert!(!answer.has_remaining());
        response
    }

    /// Asks, and leaves the answer where it is.
    pub(crate) async fn send<Q: Encodable + HeaderVersion>(&mut self, api: ApiKey, version: i16, request: Q) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_client_id(self.client_id.clone())
            .with_correlation_id(self.correlation_id);
        let mut frame = BytesMut::new();
        header.encode(&mut frame, Q::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        self.socket
            .write_u32(u32::try_from(frame.len()).unwrap())
            .await
            .unwrap();
        self.socket.write_all(&frame).await.unwrap();
    }
}

fn produce_request(topic: &str, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(i32::try_from(PRODUCE_TIMEOUT.as_millis()).unwrap())
        .with_topic_data(vec![topic])
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn values(mut records: Bytes, from: i64) -> Vec<String> {
    let batches = RecordBatchDecoder::decode_all(&mut records).unwrap();
    let records = batches.into_iter().flat_map(|batch| batch.records);
    records
        .filter(|record| record.offset >= from)
        .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap())
        .collect()
}
