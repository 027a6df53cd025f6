//! The commit transaction: lock and read, decide, write. One named function begins and commits it.

use std::collections::{BTreeMap, BTreeSet};

use ::commit::{
    BatchOutcome, Decision, IndexRow, LockedState, NewObject, PartitionState, ProducerState, RememberedBatch,
    SlotFooter, StreamState, decide,
};
use async_trait::async_trait;
use object_format::Kind;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tracing::Instrument;
use types::limits::PRODUCER_BATCHES_REMEMBERED;
use types::{
    Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot, SlotSeq, StreamId, TimestampMs, TopicId,
    TopicNumber,
};
use uuid::Uuid;

use super::streams::{from_sql, outcomes, to_sql};
use super::transaction::Transaction;
use super::{Postgres, sql};
use crate::{Commits, MetastoreError, Transacted};

#[async_trait]
impl Commits for Postgres {
    async fn commit_transaction(
        &self,
        slots: &[SlotFooter],
        producer_expiry_ms: i64,
    ) -> Result<Transacted, MetastoreError> {
        let names = Names::of(slots);
        let mut transaction = self.begin().await?;
        let reading = lock_and_read(&mut transaction, &names, producer_expiry_ms);
        let mut read = reading.instrument(sql("commit: lock and read")).await?;
        let decision = decide(&mut read.state, slots);
        if decision.objects.is_empty() {
            transaction.rollback().await?;
        } else {
            let writing = write(&mut transaction, &read.state, &decision);
            writing.instrument(sql("commit: write")).await?;
            transaction.commit().instrument(sql("commit: end")).await?;
        }
        for object in &decision.objects {
            read.pending
                .entry(object.slot.stream)
                .or_default()
                .remove(&object.slot.seq);
        }
        let Read {
            state,
            pending,
            earlier,
        } = read;
        Ok(Transacted {
            decision,
            streams: state.streams,
            pending,
            earlier,
        })
    }

    async fn pending_slots(
        &self,
        stream: StreamId,
        from: SlotSeq,
        slots_max: i64,
    ) -> Result<Vec<SlotFooter>, MetastoreError> {
        self.read_pending(stream, from, slots_max).await
    }

    async fn keep_pending(
        &self,
        stream: StreamId,
        gate: SlotSeq,
        slots: &[SlotFooter],
    ) -> Result<bool, MetastoreError> {
        self.write_pending(stream, gate, slots).await
    }
}

/// Everything the footers name, as parallel arrays for `unnest`.
struct Names {
    streams: Vec<Uuid>,
    topics: Vec<Uuid>,
    partitions: Vec<i32>,
    producer_topics: Vec<Uuid>,
    producer_partitions: Vec<i32>,
    producers: Vec<i64>,
    slot_streams: Vec<Uuid>,
    slot_seqs: Vec<i64>,
}

impl Names {
    fn of(slots: &[SlotFooter]) -> Self {
        let streams: BTreeSet<Uuid> = slots.iter().map(|slot| slot.slot().stream.0).collect();
        let batches = || {
            slots.iter().flat_map(|slot| {
                let footer = &slot.footer;
                footer
                    .batches
                    .iter()
                    .map(|batch| (footer.topics[batch.topic as usize].id, batch))
            })
        };
        let partitions: BTreeSet<(TopicId, PartitionIndex)> =
            batches().map(|(topic, batch)| (topic, batch.partition)).collect();
        let producers: BTreeSet<(TopicId, PartitionIndex, ProducerId)> = batches()
            .filter(|(_, batch)| batch.producer_id.is_some())
            .map(|(topic, batch)| (topic, batch.partition, batch.producer_id))
            .collect();
        Self {
            streams: streams.into_iter().collect(),
            topics: partitions.iter().map(|(topic, _)| topic.0).collect(),
            partitions: partitions.iter().map(|(_, partition)| partition.0).collect(),
            producer_topics: producers.iter().map(|(topic, _, _)| topic.0).collect(),
            producer_partitions: producers.iter().map(|(_, partition, _)| partition.0).collect(),
            producers: producers.iter().map(|(_, _, producer)| producer.0).collect(),
            slot_streams: slots.iter().map(|slot| slot.slot().stream.0).collect(),
            slot_seqs: slots.iter().map(|slot| to_sql(slot.slot().seq)).collect(),
        }
    }
}

struct Read {
    state: LockedState,
    pending: BTreeMap<StreamId, BTreeSet<SlotSeq>>,
    earlier: BTreeMap<Slot, Vec<BatchOutcome>>,
}

async fn lock_and_read(
    transaction: &mut Transaction,
    names: &Names,
    producer_expiry_ms: i64,
) -> Result<Read, MetastoreError> {
    let rows = sqlx::query(include_str!("queries/commit/lock_and_read.sql"))
        .bind(&names.streams)
        .bind(&names.topics)
        .bind(&names.partitions)
        .bind(&names.producer_topics)
        .bind(&names.producer_partitions)
        .bind(&names.producers)
        .bind(&names.slot_streams)
        .bind(&names.slot_seqs)
        .fetch_all(transaction)
        .await?;
    let state = LockedState {
        now: TimestampMs(0),
        producer_expiry_ms,
        streams: BTreeMap::new(),
        partitions: BTreeMap::new(),
        producers: BTreeMap::new(),
    };
    let mut read = Read {
        state,
        pending: BTreeMap::new(),
        earlier: BTreeMap::new(),
    };
    for row in &rows {
        read.take(row)?;
    }
    Ok(read)
}

impl Read {
    /// Files one row of `commit_lock_and_read` under its shape.
    fn take(&mut self, row: &PgRow) -> Result<(), MetastoreError> {
        let id = || row.try_get::<Uuid, _>("id");
        let topic = || row.try_get("topic_number").map(TopicNumber);
        let partition = || row.try_get("partition_index").map(PartitionIndex);
        let a = || row.try_get::<i64, _>("a");
        let b = || row.try_get::<i64, _>("b");
        match row.try_get::<i32, _>("shape")? {
            0 => self.state.now = TimestampMs(a()?),
            1 => {
                let end_seq = row.try_get::<Option<i64>, _>("b")?.map(from_sql);
                self.state.streams.insert(
                    StreamId(id()?),
                    StreamState {
                        next_seq: from_sql(a()?),
                        end_seq,
                    },
                );
            }
            2 => {
                let (next_offset, max_timestamp) = (Offset(a()?), TimestampMs(b()?));
                let state = PartitionState {
                    topic: topic()?,
                    next_offset,
                    max_timestamp,
                };
                self.state.partitions.insert((TopicId(id()?), partition()?), state);
            }
            3 => {
                let state = producer_state(row, ProducerEpoch(i16::try_from(b()?).unwrap_or(i16::MAX)))?;
                self.state
                    .producers
                    .insert((topic()?, partition()?, ProducerId(a()?)), state);
            }
            4 => {
                self.pending.entry(StreamId(id()?)).or_default().insert(from_sql(a()?));
            }
            5 => {
                let slot = Slot {
                    stream: StreamId(id()?),
                    seq: from_sql(a()?),
                };
                self.earlier.insert(slot, outcomes(row.try_get("bytes")?)?);
            }
            shape => {
                return Err(MetastoreError::Internal(format!(
                    "commit_lock_and_read gave a row of shape {shape}"
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn producer_state(row: &PgRow, epoch: ProducerEpoch) -> Result<ProducerState, MetastoreError> {
    let sequences: Vec<i32> = row.try_get("base_sequences")?;
    let counts: Vec<i32> = row.try_get("record_counts")?;
    let offsets: Vec<i64> = row.try_get("base_offsets")?;
    let batches = sequences
        .into_iter()
        .zip(counts)
        .zip(offsets)
        .filter(|((_, count), _)| *count > 0);
    let batches: Vec<RememberedBatch> = batches
        .map(|((sequence, record_count), offset)| RememberedBatch {
            base_sequence: Sequence(sequence),
            record_count,
            base_offset: Offset(offset),
        })
        .collect();
    if batches.is_empty() {
        return Err(MetastoreError::Internal(
            "producer_state has a row without a batch".to_owned(),
        ));
    }
    Ok(ProducerState {
        epoch,
        batches,
        updated_at: TimestampMs(row.try_get("c")?),
    })
}

async fn write(transaction: &mut Transaction, state: &LockedState, decision: &Decision) -> Result<(), MetastoreError> {
    let objects = &decision.objects;
    let rows = &decision.rows;
    let row_column = |field: fn(&IndexRow) -> i64| rows.iter().map(field).collect::<Vec<i64>>();
    let partitions: Vec<_> = decision
        .partitions
        .iter()
        .map(|key| (key.1, state.partitions[key]))
        .collect();
    let new_bytes = new_bytes(rows);
    let producers = ProducerColumns::of(state, decision);
    let streams: Vec<_> = decision.streams.iter().map(|id| (id.0, state.streams[id])).collect();
    sqlx::query(include_str!("queries/commit/write.sql"))
        .bind(objects.iter().map(|o| o.slot.stream.0).collect::<Vec<_>>())
        .bind(objects.iter().map(|o| to_sql(o.slot.seq)).collect::<Vec<_>>())
        .bind(objects.iter().map(|o| kind_to_sql(o.kind)).collect::<Vec<_>>())
        .bind(objects.iter().map(|o| o.object_bytes.cast_signed()).collect::<Vec<_>>())
        .bind(objects.iter().map(|o| o.live_rows).collect::<Vec<_>>())
        .bind(
            objects
                .iter()
                .map(|o: &NewObject| ::commit::encode_outcomes(&o.outcomes))
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|r| r.slot.stream.0).collect::<Vec<_>>())
        .bind(row_column(|r| to_sql(r.slot.seq)))
        .bind(rows.iter().map(|r| r.topic.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.partition.0).collect::<Vec<_>>())
        .bind(row_column(|r| r.base_offset.0))
        .bind(row_column(|r| r.next_offset.0))
        .bind(
            rows.iter()
                .map(|r| to_int4(r.range.start))
                .collect::<Result<Vec<_>, _>>()?,
        )
        .bind(
            rows.iter()
                .map(|r| to_int4(r.range.len()))
                .collect::<Result<Vec<_>, _>>()?,
        )
        .bind(row_column(|r| r.max_timestamp.0))
        .bind(partitions.iter().map(|(_, p)| p.topic.0).collect::<Vec<_>>())
        .bind(partitions.iter().map(|(index, _)| index.0).collect::<Vec<_>>())
        .bind(partitions.iter().map(|(_, p)| p.next_offset.0).collect::<Vec<_>>())
        .bind(partitions.iter().map(|(_, p)| p.max_timestamp.0).collect::<Vec<_>>())
        .bind(producers.topics)
        .bind(producers.partitions)
        .bind(producers.ids)
        .bind(producers.epochs)
        .bind(producers.updated_at)
        .bind(producers.base_sequences)
        .bind(producers.record_counts)
        .bind(producers.base_offsets)
        .bind(streams.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(streams.iter().map(|(_, s)| to_sql(s.next_seq)).collect::<Vec<_>>())
        .bind(streams.iter().map(|(_, s)| s.end_seq.map(to_sql)).collect::<Vec<_>>())
        .bind(
            partitions
                .iter()
                .map(|(index, p)| new_bytes.get(&(p.topic, *index)).copied().unwrap_or_default())
                .collect::<Vec<_>>(),
        )
        .execute(transaction)
        .await?;
    Ok(())
}

/// How many bytes each partition's new rows name.
fn new_bytes(rows: &[IndexRow]) -> BTreeMap<(TopicNumber, PartitionIndex), i64> {
    let mut bytes = BTreeMap::new();
    for row in rows {
        *bytes.entry((row.topic, row.partition)).or_default() += row.range.len().cast_signed();
    }
    bytes
}

/// Changed producer states as columns; the arrays of five lie end to end.
#[derive(Default)]
struct ProducerColumns {
    topics: Vec<i32>,
    partitions: Vec<i32>,
    ids: Vec<i64>,
    epochs: Vec<i16>,
    updated_at: Vec<i64>,
    base_sequences: Vec<i32>,
    record_counts: Vec<i32>,
    base_offsets: Vec<i64>,
}

impl ProducerColumns {
    fn of(state: &LockedState, decision: &Decision) -> Self {
        let mut columns = Self::default();
        for key in &decision.producers {
            let producer = &state.producers[key];
            columns.topics.push(key.0.0);
            columns.partitions.push(key.1.0);
            columns.ids.push(key.2.0);
            columns.epochs.push(producer.epoch.0);
            columns.updated_at.push(producer.updated_at.0);
            for n in 0..PRODUCER_BATCHES_REMEMBERED {
                let batch = producer.batches.get(n);
                columns.base_sequences.push(batch.map_or(0, |b| b.base_sequence.0));
                columns.record_counts.push(batch.map_or(0, |b| b.record_count));
                columns.base_offsets.push(batch.map_or(0, |b| b.base_offset.0));
            }
        }
        columns
    }
}

fn to_int4(bytes: u64) -> Result<i32, MetastoreError> {
    i32::try_from(bytes).map_err(|_| MetastoreError::Internal(format!("byte position {bytes} is over 2 GiB")))
}

fn kind_to_sql(kind: Kind) -> i16 {
    match kind {
        Kind::Data => 0,
        Kind::Tombstone => 1,
        Kind::Merged => 2,
    }
}
