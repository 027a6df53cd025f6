//! How long it takes Postgres to name what a fetch reads, where the index has very many rows.

mod fill;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use metastore::{Metastore, PlannedPartition, TopicInfo, WantedRange};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::runtime::Builder;
use types::{NodeId, Offset, PartitionIndex, StreamId};
use uuid::Uuid;

use crate::database::{Database, create_topic};
use crate::latency::{Latencies, LatencySummary};

/// Partitions of a fetch, which are all that there are.
const PARTITIONS: i32 = 100;
/// What a client asks for of a partition by default (`max.partition.fetch.bytes`).
const BYTES_MAX: u64 = 1 << 20;
/// What an agent asks for first where a fetch has so many partitions.
const ROWS_MAX: u32 = 1;
/// Plans that are not counted: connections are made and statements prepared meanwhile.
const WARM_UP: u32 = 200;

/// How much there is, and how often it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Rows of the index.
    pub index_rows: i64,
    /// Plans that are counted.
    pub plans: u32,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Planned {
    /// How long it took to fill the tables.
    pub filled_s: f64,
    /// Of one plan.
    pub plan: LatencySummary,
}

/// Fills the tables of a Postgres below `directory`, and plans one fetch after the other, each of all partitions at positions drawn
/// anew.
pub fn measure(directory: &Path, amount: Amount, seed: u64) -> Result<Planned> {
    let database = Database::start(directory)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let slots = amount.index_rows / i64::from(PARTITIONS);
        let metastore = database.metastore(1).await?;
        let topic = create_topic(&metastore, "long", PARTITIONS).await?;
        let stream = StreamId(Uuid::now_v7());
        metastore.open_stream(stream, NodeId(0)).await?;
        let began = Instant::now();
        fill::fill(&mut database.connect([]).await?, stream, &topic, slots).await?;
        let filled_s = began.elapsed().as_secs_f64();
        let fetches = Fetches {
            metastore,
            topic,
            end: slots * fill::RECORDS,
            random: StdRng::seed_from_u64(seed),
        };
        Ok(Planned {
            filled_s,
            plan: fetches.plan(amount.plans).await?,
        })
    })
}

struct Fetches {
    metastore: Metastore,
    topic: TopicInfo,
    /// Of every partition.
    end: i64,
    random: StdRng,
}

impl Fetches {
    async fn plan(mut self, plans: u32) -> Result<LatencySummary> {
        let mut latencies = Latencies::default();
        for number in 0..WARM_UP + plans {
            let wanted = self.wanted();
            let began = Instant::now();
            let planned = self.metastore.plan_fetch(&wanted).await?;
            if number >= WARM_UP {
                latencies.record(began.elapsed());
            }
            self.check(&wanted, &planned)?;
        }
        latencies.summary().context("nothing was planned")
    }

    fn wanted(&mut self) -> Vec<WantedRange> {
        let wanted = |partition| WantedRange {
            topic: self.topic.number,
            partition: PartitionIndex(partition),
            from: Offset(self.random.random_range(0..self.end)),
            bytes_max: BYTES_MAX,
            rows_max: ROWS_MAX,
        };
        (0..PARTITIONS).map(wanted).collect()
    }

    /// A plan that names something else was not worth its time.
    fn check(&self, wanted: &[WantedRange], planned: &[Option<PlannedPartition>]) -> Result<()> {
        for (wanted, planned) in wanted.iter().zip(planned) {
            let range = planned
                .as_ref()
                .filter(|planned| planned.end.0 == self.end)
                .and_then(|planned| planned.ranges.first());
            let holds = range.is_some_and(|range| (range.base_offset..range.next_offset).contains(&wanted.from));
            ensure!(holds, "{wanted:?} was planned as {planned:?}");
        }
        Ok(())
    }
}
