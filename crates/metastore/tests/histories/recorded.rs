//! What the tables say at the end of a history: those of Postgres, or the model's, in one shape.

use std::collections::{BTreeMap, BTreeSet};

use commit::{BatchOutcome, RememberedBatch, StreamState, decode_outcomes};
use metastore::LogEnds;
use metastore::memory::tables::Tables;
use object_format::Kind;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use types::{
    ByteRange, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, SlotSeq, StreamId, TimestampMs,
    TopicNumber,
};
use uuid::Uuid;

use crate::history::PAUSE_UNIT_MS;

pub(crate) type Partition = (TopicNumber, PartitionIndex);

/// Everything the commits of one history left, but for object ids and clocks.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) streams: BTreeMap<StreamId, StreamState>,
    pub(crate) objects: BTreeMap<Slot, Object>,
    pub(crate) partitions: BTreeMap<Partition, LogEnds>,
    pub(crate) index: BTreeMap<(Partition, Offset), IndexRow>,
    pub(crate) producers: BTreeMap<(Partition, ProducerId), Producer>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: i16,
    pub(crate) object_bytes: u64,
    pub(crate) live_rows: i32,
    pub(crate) outcomes: Vec<BatchOutcome>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct IndexRow {
    pub(crate) slot: Slot,
    pub(crate) next_offset: Offset,
    pub(crate) range: ByteRange,
    pub(crate) max_timestamp: TimestampMs,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Producer {
    pub(crate) epoch: ProducerEpoch,
    pub(crate) batches: Vec<RememberedBatch>,
    /// Units of pause since its last batch.
    pub(crate) age_units: i64,
}

/// What Postgres says of one history.
pub(crate) struct OnPostgres {
    pub(crate) recorded: Recorded,
    /// Slots in the order of their objects' ids: the order Postgres chose.
    pub(crate) order: Vec<(i64, Slot)>,
    pub(crate) pending: BTreeSet<Slot>,
}

impl OnPostgres {
    pub(crate) async fn read(raw: &PgPool, streams: &[StreamId], topics: &[TopicNumber]) -> Self {
        let streams: Vec<Uuid> = streams.iter().map(|stream| stream.0).collect();
        let topics: Vec<i32> = topics.iter().map(|topic| topic.0).collect();
        let of_streams = async |statement| {
            let query = sqlx::query(statement).bind(&streams);
            query.fetch_all(raw).await.expect("Postgres answers")
        };
        let of_topics = async |statement| {
            let query = sqlx::query(statement).bind(&topics);
            query.fetch_all(raw).await.expect("Postgres answers")
        };
        let objects = of_streams("SELECT * FROM objects WHERE stream_id = ANY ($1) ORDER BY object_id").await;
        let order: Vec<(i64, Slot)> = objects.iter().map(|row| (row.get("object_id"), slot(row))).collect();
        let slots: BTreeMap<i64, Slot> = order.iter().copied().collect();
        let streams = of_streams("SELECT * FROM streams WHERE stream_id = ANY ($1)").await;
        let partitions = of_topics("SELECT * FROM partitions WHERE topic_number = ANY ($1)").await;
        let index = of_topics("SELECT * FROM log_index WHERE topic_number = ANY ($1)").await;
        let producers = "SELECT *, (extract(epoch FROM now()) * 1000)::int8 - updated_at_ms AS age_ms \
                         FROM producer_state WHERE topic_number = ANY ($1)";
        let producers = of_topics(producers).await;
        let pending = of_streams("SELECT * FROM pending_slots WHERE stream_id = ANY ($1)").await;
        let recorded = Recorded {
            streams: streams.iter().map(stream).collect(),
            objects: objects.iter().map(|row| (slot(row), object(row))).collect(),
            partitions: partitions.iter().map(log_ends).collect(),
            index: index.iter().map(|row| index_row(row, &slots)).collect(),
            producers: producers.iter().map(producer).collect(),
        };
        Self {
            recorded,
            order,
            pending: pending.iter().map(slot).collect(),
        }
    }
}

fn stream(row: &PgRow) -> (StreamId, StreamState) {
    let state = StreamState {
        next_seq: seq(row.get("next_seq")),
        end_seq: row.get::<Option<i64>, _>("end_seq").map(seq),
    };
    (StreamId(row.get("stream_id")), state)
}

fn seq(value: i64) -> SlotSeq {
    SlotSeq(u64::try_from(value).expect("not negative"))
}

fn slot(row: &PgRow) -> Slot {
    Slot {
        stream: StreamId(row.get("stream_id")),
        seq: seq(row.get("seq")),
    }
}

fn object(row: &PgRow) -> Object {
    Object {
        kind: row.get("kind"),
        object_bytes: row.get::<i64, _>("object_bytes") as u64,
        live_rows: row.get("live_rows"),
        outcomes: decode_outcomes(row.get("outcomes")).expect("outcomes of ours"),
    }
}

fn partition(row: &PgRow) -> Partition {
    let index = PartitionIndex(row.get("partition_index"));
    (TopicNumber(row.get("topic_number")), index)
}

fn log_ends(row: &PgRow) -> (Partition, LogEnds) {
    let ends = LogEnds {
        log_start: Offset(row.get("log_start_offset")),
        end: Offset(row.get("next_offset")),
        max_timestamp: TimestampMs(row.get("max_timestamp_ms")),
    };
    (partition(row), ends)
}

fn index_row(row: &PgRow, slots: &BTreeMap<i64, Slot>) -> ((Partition, Offset), IndexRow) {
    let (start, count): (i32, i32) = (row.get("byte_start"), row.get("byte_count"));
    let index_row = IndexRow {
        slot: slots[&row.get("object_id")],
        next_offset: Offset(row.get("next_offset")),
        range: ByteRange {
            start: start as u64,
            end: (start + count) as u64,
        },
        max_timestamp: TimestampMs(row.get("max_timestamp_ms")),
    };
    ((partition(row), Offset(row.get("base_offset"))), index_row)
}

fn producer(row: &PgRow) -> ((Partition, ProducerId), Producer) {
    let sequences: Vec<i32> = row.get("base_sequences");
    let counts: Vec<i32> = row.get("record_counts");
    let offsets: Vec<i64> = row.get("base_offsets");
    let batches = sequences
        .iter()
        .zip(counts)
        .zip(offsets)
        .filter(|((_, count), _)| *count > 0);
    let producer = Producer {
        epoch: ProducerEpoch(row.get("producer_epoch")),
        batches: batches
            .map(|((sequence, record_count), offset)| RememberedBatch {
                base_sequence: Sequence(*sequence),
                record_count,
                base_offset: Offset(offset),
            })
            .collect(),
        age_units: row.get::<i64, _>("age_ms") / PAUSE_UNIT_MS,
    };
    ((partition(row), ProducerId(row.get("producer_id"))), producer)
}

impl Recorded {
    /// What the model says at `now`.
    pub(crate) fn of_model(tables: Tables, now: TimestampMs) -> Self {
        let objects = tables.objects.values().map(|object| {
            let kind = match object.kind {
                Kind::Data => 0,
                Kind::Tombstone => 1,
                Kind::Merged => 2,
            };
            let row = Object {
                kind,
                object_bytes: object.object_bytes,
                live_rows: object.live_rows,
                outcomes: object.outcomes.clone(),
            };
            (object.slot, row)
        });
        let index = tables.log_index.iter().map(|((topic, partition, base), entry)| {
            let row = IndexRow {
                slot: tables.objects[&entry.object].slot,
                next_offset: entry.next_offset,
                range: entry.range,
                max_timestamp: entry.max_timestamp,
            };
            (((*topic, *partition), *base), row)
        });
        let producers = tables.producer_state.iter().map(|((topic, partition, id), state)| {
            let producer = Producer {
                epoch: state.epoch,
                batches: state.batches.clone(),
                age_units: (now.0 - state.updated_at.0) / PAUSE_UNIT_MS,
            };
            (((*topic, *partition), *id), producer)
        });
        Self {
            streams: tables.streams.iter().map(|(id, row)| (*id, row.state)).collect(),
            objects: objects.collect(),
            index: index.collect(),
            producers: producers.collect(),
            partitions: tables.partitions,
        }
    }
}
