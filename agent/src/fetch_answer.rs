//! The answer to a Fetch as slices: records are never copied into an encoder's buffer.
//! (skeleton: the encoder is missing)

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use types::{Offset, PartitionIndex, TopicId};

/// A whole FetchResponse, before encoding.
#[derive(Clone, Debug, Default)]
pub struct FetchAnswer {
    /// Error of the whole request (session errors).
    pub error: Option<ResponseError>,
    /// Fetch session id, 0 for none.
    pub session_id: i32,
    /// Topics in the order of the request.
    pub topics: Vec<FetchAnswerTopic>,
}

/// One topic of a Fetch answer.
#[derive(Clone, Debug)]
pub struct FetchAnswerTopic {
    /// Name as the request gave it (empty when it gave an id).
    pub name: String,
    /// Id as the request gave it (nil when it gave a name).
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<FetchAnswerPartition>,
}

/// One partition of a Fetch answer.
#[derive(Clone, Debug)]
pub struct FetchAnswerPartition {
    /// Index within the topic.
    pub index: PartitionIndex,
    /// What went wrong, if anything.
    pub error: Option<ResponseError>,
    /// End of the committed log; also the last stable offset. -1 when unknown.
    pub high_watermark: Offset,
    /// First offset still there. -1 when unknown.
    pub log_start_offset: Offset,
    /// Whole batches, one after another, in pieces; empty for none (never null on the wire).
    pub records: Vec<Bytes>,
}
