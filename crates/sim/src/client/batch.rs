//! A batch from the moment its producer makes it until it is decided.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};
use oracle::{NamedRecord, RecordName, named_record};
use tokio::time::Instant;

use super::Partition;

// Where a RecordBatch of format 2 has what a renumbering changes; the checksum covers all from the attributes on.
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;

/// Whom a batch says it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Producer id, or -1.
    pub id: i64,
    /// Its epoch, or -1.
    pub epoch: i16,
}

impl Identity {
    /// Nobody in particular.
    pub const PLAIN: Self = Self {
        id: NO_PRODUCER_ID,
        epoch: NO_PRODUCER_EPOCH,
    };
}

/// A batch that was sent at least once. Its records never change; its numbers do when its producer takes a new epoch.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where it goes.
    pub partition: Partition,
    /// What the ledger calls its producer.
    pub producer: u32,
    /// What the ledger calls its first record.
    pub first: u64,
    /// Its records.
    pub count: u64,
    /// Kafka's sequence of its first record, or -1.
    pub base_sequence: i32,
    /// As it goes over the wire.
    pub bytes: Bytes,
    /// When it was made.
    pub made_at: Instant,
    /// When it was sent for the first time, how many batches had been sent to its partition.
    pub number: u64,
    /// How often it was sent.
    pub tries: u32,
}

/// What a new batch is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Where it goes.
    pub partition: Partition,
    /// What the ledger calls its producer.
    pub producer: u32,
    /// What the ledger calls its first record.
    pub first: u64,
    /// Its records.
    pub count: u64,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// What the values are filled with.
    pub noise: u64,
}

impl Recipe {
    /// The names of its records, for the ledger.
    pub fn records(&self) -> Vec<(RecordName<'_>, NamedRecord)> {
        (self.first..self.first + self.count)
            .map(|sequence| {
                let name = name(&self.partition, self.producer, sequence);
                (name, named_record(name, self.value_bytes, self.noise ^ sequence))
            })
            .collect()
    }
}

impl Sent {
    /// Makes it say that it is from `identity`, with this sequence; what it holds stays.
    pub fn renumber(&mut self, identity: Identity, base_sequence: i32) {
        let mut bytes = BytesMut::from(&self.bytes[..]);
        bytes[PRODUCER_ID_AT..][..8].copy_from_slice(&identity.id.to_be_bytes());
        bytes[PRODUCER_EPOCH_AT..][..2].copy_from_slice(&identity.epoch.to_be_bytes());
        bytes[BASE_SEQUENCE_AT..][..4].copy_from_slice(&base_sequence.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
        bytes[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        self.bytes = bytes.freeze();
        self.base_sequence = base_sequence;
    }

    /// The names of its records, for the ledger.
    pub fn names(&self) -> impl Iterator<Item = RecordName<'_>> {
        (self.first..self.first + self.count).map(|sequence| name(&self.partition, self.producer, sequence))
    }
}

fn name(partition: &Partition, producer: u32, sequence: u64) -> RecordName<'_> {
    RecordName {
        topic: &partition.0,
        partition: partition.1,
        producer,
        sequence,
    }
}

/// The key of the record `name`.
pub fn key(name: RecordName<'_>) -> Vec<u8> {
    let RecordName {
        topic,
        partition,
        producer,
        sequence,
    } = name;
    format!("{topic}/{partition}/{producer}/{sequence}").into_bytes()
}

/// The records as one RecordBatch.
pub fn encode(records: &[(RecordName<'_>, NamedRecord)], identity: Identity, base_sequence: i32, now_ms: i64) -> Bytes {
    let numbered = |(delta, (_, record)): (i64, &(RecordName<'_>, NamedRecord))| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: identity.id,
        producer_epoch: identity.epoch,
        timestamp_type: TimestampType::Creation,
        offset: delta,
        sequence: match base_sequence {
            // The encoder wants offset and sequence to go together.
            NO_SEQUENCE => i32::try_from(delta).expect("few records") - 1,
            first => first + i32::try_from(delta).expect("few records"),
        },
        timestamp: now_ms,
        key: Some(record.key.clone().into()),
        value: Some(record.value.clone().into()),
        headers: IndexMap::new(),
    };
    let records: Vec<Record> = (0..).zip(records).map(numbered).collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("uncompressed records can be encoded");
    bytes.freeze()
}
