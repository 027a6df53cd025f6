//! What is committed: the footers of an agent whose producers are idempotent.

use anyhow::Result;
use commit::SlotFooter;
use metastore::{Metastore, TopicInfo};
use object_format::{Footer, FooterBatch, FooterTopic, Kind, Tags, encode_tail};
use rand::rngs::StdRng;
use rand::seq::index::sample;
use types::{
    ByteRange, ClusterId, ContentId, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Slot,
    SlotSeq, StreamId, TimestampMs,
};
use uuid::Uuid;

/// Batches of a slot: one for each of so many partitions.
pub(crate) const BATCHES_PER_SLOT: usize = 100;
/// Records of a batch.
pub(crate) const RECORDS: i32 = 64;

/// Which partitions a slot has batches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Drawn anew for each slot.
    Random,
    /// Always the first ones.
    Same,
}

/// A stream and the one producer that all its batches are from.
#[derive(Debug)]
pub(crate) struct Writer {
    cluster: ClusterId,
    topic: TopicInfo,
    stream: StreamId,
    producer: ProducerId,
    choice: Choice,
    random: StdRng,
    batch_bytes: u64,
    next_seq: u64,
    /// By partition.
    next_sequences: Vec<i32>,
}

impl Writer {
    /// Opens a stream and gets a producer id, as an agent does.
    pub(crate) async fn open(
        metastore: &Metastore,
        topic: &TopicInfo,
        choice: Choice,
        batch_bytes: u64,
        random: StdRng,
    ) -> Result<Self> {
        let stream = StreamId(Uuid::now_v7());
        metastore.open_stream(stream, NodeId(0)).await?;
        Ok(Self {
            cluster: metastore.cluster_id().await?,
            topic: topic.clone(),
            stream,
            producer: metastore.allocate_producer_id().await?,
            choice,
            random,
            batch_bytes,
            next_seq: 0,
            next_sequences: vec![0; usize::try_from(topic.partition_count)?],
        })
    }

    /// The footer of its next slot.
    pub(crate) fn next_slot(&mut self) -> Result<SlotFooter> {
        let partitions = self.partitions();
        let batches: Vec<FooterBatch> = (0..).zip(partitions).map(|(n, at)| self.batch(n, at)).collect();
        let body_bytes = batches.last().map_or(0, |batch| batch.range.end);
        let footer = Footer {
            kind: Kind::Data,
            required_features: 0,
            optional_features: 0,
            cluster: self.cluster,
            slot: Slot {
                stream: self.stream,
                seq: SlotSeq(self.next_seq),
            },
            content: ContentId(Uuid::new_v4()),
            topics: vec![FooterTopic {
                id: self.topic.id,
                name: self.topic.name.clone(),
                tags: Tags::new(),
            }],
            batches,
            tags: Tags::new(),
        };
        self.next_seq += 1;
        let tail = encode_tail(&footer)?;
        Ok(SlotFooter {
            object_bytes: body_bytes + tail.len() as u64,
            footer: footer.into(),
            tail,
        })
    }

    /// How many slots it has given out.
    pub(crate) fn slots(&self) -> u64 {
        self.next_seq
    }

    /// Its stream.
    pub(crate) fn stream(&self) -> StreamId {
        self.stream
    }

    /// In order, as they lie in an object.
    fn partitions(&mut self) -> Vec<usize> {
        match self.choice {
            Choice::Same => (0..BATCHES_PER_SLOT).collect(),
            Choice::Random => {
                let mut drawn = sample(&mut self.random, self.next_sequences.len(), BATCHES_PER_SLOT).into_vec();
                drawn.sort_unstable();
                drawn
            }
        }
    }

    fn batch(&mut self, place: u64, partition: usize) -> FooterBatch {
        let sequence = self.next_sequences[partition];
        self.next_sequences[partition] += RECORDS;
        let start = place * self.batch_bytes;
        FooterBatch {
            topic: 0,
            partition: PartitionIndex(i32::try_from(partition).expect("a topic has at most 10,000 partitions")),
            range: ByteRange {
                start,
                end: start + self.batch_bytes,
            },
            crc: 0,
            attributes: 0,
            record_count: RECORDS,
            last_offset_delta: RECORDS - 1,
            base_timestamp: TimestampMs(0),
            max_timestamp: TimestampMs(0),
            producer_id: self.producer,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(sequence),
            base_offset: Offset::UNKNOWN,
            tags: Tags::new(),
        }
    }
}
