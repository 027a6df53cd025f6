//! The answer to a Fetch as slices: records are never copied into an encoder's buffer.
//!
//! The encoder writes what `kafka-protocol`'s `FetchResponse` would (a property test holds the two together), but leaves the
//! records where they are. No aborted transactions, no tagged fields (diverging epochs, other leaders): we have none of them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::protocol::HeaderVersion;
use types::{NodeId, Offset, PartitionIndex, TopicId};

use crate::answer::{self, Answer, EncodeError};

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
    /// A broker that the client should rather read this partition from.
    pub preferred_replica: Option<NodeId>,
    /// Whole batches, one after another, in pieces; empty for none (never null on the wire).
    pub records: Vec<Bytes>,
}

impl FetchAnswerPartition {
    /// Nothing is known of it yet.
    pub fn empty(index: PartitionIndex) -> Self {
        Self {
            index,
            error: None,
            high_watermark: Offset::UNKNOWN,
            log_start_offset: Offset::UNKNOWN,
            preferred_replica: None,
            records: Vec::new(),
        }
    }
}

/// First version with the request's own error and the session id.
const SESSIONS_SINCE: i16 = 7;
/// First version with a partition's log start offset.
const LOG_START_SINCE: i16 = 5;
/// First version with a partition's preferred read replica.
const READ_REPLICA_SINCE: i16 = 11;
/// First flexible version.
const FLEXIBLE_SINCE: i16 = 12;
/// First version with topic ids instead of names.
const TOPIC_IDS_SINCE: i16 = 13;

/// Pieces below this size are copied into the text between them: cheaper than a write of their own.
const COPIED_BYTES_MAX: usize = 4 * 1024;

impl FetchAnswer {
    /// The whole frame in pieces, records as slices.
    pub fn encode(self, version: i16, correlation_id: i32) -> Result<Answer, EncodeError> {
        let mut out = Pieces::new(version);
        answer::put_header(&mut out.text, correlation_id, FetchResponse::header_version(version));
        out.text.put_i32(0); // throttle time
        if version >= SESSIONS_SINCE {
            out.text.put_i16(code(self.error));
            out.text.put_i32(self.session_id);
        }
        out.count(self.topics.len())?;
        self.topics.into_iter().try_for_each(|topic| out.topic(topic))?;
        out.no_tags();
        out.finish()
    }
}

fn code(error: Option<ResponseError>) -> i16 {
    error.map_or(0, |error| error.code())
}

/// A frame in the making: finished pieces, and the text that follows them.
struct Pieces {
    version: i16,
    done: Vec<Bytes>,
    done_bytes: usize,
    text: BytesMut,
}

impl Pieces {
    fn new(version: i16) -> Self {
        let mut text = BytesMut::with_capacity(512);
        text.put_i32(0); // the frame's length, known at the end
        Self {
            version,
            done: Vec::new(),
            done_bytes: 0,
            text,
        }
    }

    fn topic(&mut self, topic: FetchAnswerTopic) -> Result<(), EncodeError> {
        if self.version >= TOPIC_IDS_SINCE {
            self.text.put_slice(topic.id.0.as_bytes());
        } else {
            self.name(&topic.name)?;
        }
        self.count(topic.partitions.len())?;
        topic
            .partitions
            .into_iter()
            .try_for_each(|partition| self.partition(partition))?;
        self.no_tags();
        Ok(())
    }

    fn partition(&mut self, partition: FetchAnswerPartition) -> Result<(), EncodeError> {
        self.text.put_i32(partition.index.0);
        self.text.put_i16(code(partition.error));
        self.text.put_i64(partition.high_watermark.0);
        self.text.put_i64(partition.high_watermark.0); // last stable offset: there are no transactions
        if self.version >= LOG_START_SINCE {
            self.text.put_i64(partition.log_start_offset.0);
        }
        self.count(0)?; // aborted transactions
        if self.version >= READ_REPLICA_SINCE {
            self.text.put_i32(partition.preferred_replica.map_or(-1, |node| node.0));
        }
        self.count(partition.records.iter().map(Bytes::len).sum())?;
        partition.records.into_iter().for_each(|piece| self.records(piece));
        self.no_tags();
        Ok(())
    }

    fn records(&mut self, piece: Bytes) {
        if piece.len() < COPIED_BYTES_MAX {
            self.text.put_slice(&piece);
            return;
        }
        self.close_text();
        self.done_bytes += piece.len();
        self.done.push(piece);
    }

    fn close_text(&mut self) {
        if !self.text.is_empty() {
            self.done_bytes += self.text.len();
            self.done.push(self.text.split().freeze());
        }
    }

    fn name(&mut self, name: &str) -> Result<(), EncodeError> {
        if self.version >= FLEXIBLE_SINCE {
            self.count(name.len())?;
        } else {
            let length =
                i16::try_from(name.len()).map_err(|_| EncodeError(format!("topic name of {} bytes", name.len())))?;
            self.text.put_i16(length);
        }
        self.text.put_slice(name.as_bytes());
        Ok(())
    }

    /// Count of an array, or length of bytes: one more, as a varint, when flexible.
    fn count(&mut self, count: usize) -> Result<(), EncodeError> {
        let count = answer::frame_length(count)?;
        if self.version >= FLEXIBLE_SINCE {
            self.varint(count.unsigned_abs() + 1);
        } else {
            self.text.put_i32(count);
        }
        Ok(())
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.text.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.text.put_u8(value as u8);
    }

    fn no_tags(&mut self) {
        if self.version >= FLEXIBLE_SINCE {
            self.text.put_u8(0);
        }
    }

    fn finish(mut self) -> Result<Answer, EncodeError> {
        self.close_text();
        let length = answer::frame_length(self.done_bytes - answer::LENGTH_BYTES)?;
        let first = self.done.first_mut().expect("the length field is in the first piece");
        let mut with_length = BytesMut::from(&**first);
        with_length[..answer::LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        *first = with_length.freeze();
        Ok(self.done)
    }
}

#[cfg(test)]
mod tests;
