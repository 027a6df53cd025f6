//! What a commit takes, beside the writes that it cannot do without.
//!
//! The committer is the agents' own, with the hints they send. Beside it, in the same run and turn by turn, the same rows are written by
//! one statement that neither locks first, nor reads, nor decides (`bare`). Each has a topic of its own, so that neither waits for the
//! other's rows.

mod bare;
mod threads;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use commit::invoke::SlotResult;
use commit::{BatchOutcome, SlotFooter};
use metastore::{Committer, Metastore, TopicInfo};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgConnection;
use storage::MemoryStore;
use tokio::runtime::{Builder, Handle, Runtime};

use self::bare::{ONE_BY_ONE, Offsets, Rows};
use self::threads::{Load, closed_loop, open_loop};
pub use self::writer::Choice;
pub(crate) use self::writer::{BATCHES_PER_SLOT, Writer};
use crate::database::{Database, create_topic};
use crate::latency::{Latencies, LatencySummary};

/// A batch's bytes in an object; the commit only writes them down.
const BATCH_BYTES: u64 = 66_000;
/// Agents that commit at a time, each with one commit under way.
const WRITERS: usize = 10;
/// Of them, those that commit as fast as they can.
const BUSY_WRITERS: usize = 4;
/// What one commit of an agent carries by default (`YAKS_MATERIALIZE_BATCH_SIZE`, 1000 batches).
const SLOTS_PER_COMMIT: usize = 10;
/// Theirs, and one for whoever sends a hint.
const CONNECTIONS: u32 = 20;

/// How much is committed.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Partitions to draw from.
    pub partitions: i32,
    /// In all, of commits and of bare transactions alike.
    pub slots_per_s: f64,
    /// Turns of each.
    pub turns: u32,
    /// One turn; the first one, of the same length, is not counted.
    pub turn: Duration,
}

/// Both, from when a slot was due.
#[derive(Clone, Debug)]
pub struct Compared {
    /// A slot's commit.
    pub commit: LatencySummary,
    /// The same rows, bare.
    pub bare: LatencySummary,
}

/// Where it is measured.
pub struct Commits {
    // Dropped in this order: the connections before the server.
    runtime: Runtime,
    metastore: Metastore,
    committer: Committer,
    database: Database,
    topic: TopicInfo,
    bare_topic: TopicInfo,
    /// Of the bare topic.
    offsets: Offsets,
    amount: Amount,
    seed: u64,
}

/// An agent, as far as it commits.
struct Committing {
    runtime: Handle,
    committer: Committer,
    writer: Writer,
}

/// Who writes the same rows.
struct Bare {
    runtime: Handle,
    connection: PgConnection,
    topic: TopicInfo,
    offsets: Offsets,
    writer: Writer,
}

impl Commits {
    /// A Postgres below `directory`, with both topics.
    pub fn start(directory: &Path, amount: Amount, seed: u64) -> Result<Self> {
        let database = Database::start(directory)?;
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let (metastore, topic, bare_topic) = runtime.block_on(async {
            let metastore = database.metastore(CONNECTIONS).await?;
            let topic = create_topic(&metastore, "committed", amount.partitions).await?;
            let bare_topic = create_topic(&metastore, "bare", amount.partitions).await?;
            anyhow::Ok((metastore, topic, bare_topic))
        })?;
        let cluster = runtime.block_on(metastore.cluster_id())?;
        // Slots come in order, so S3 is never asked.
        let committer = Committer::new(metastore.clone(), Arc::new(MemoryStore::new()), cluster);
        Ok(Self {
            runtime,
            metastore,
            committer,
            database,
            topic,
            offsets: Offsets::of(&bare_topic),
            bare_topic,
            amount,
            seed,
        })
    }

    /// Slot by slot, and those together that queue up, as an agent commits; turn by turn with bare transactions of a slot each.
    pub fn compare(&self, choice: Choice) -> Result<Compared> {
        let mut committing = self.runtime.block_on(self.committing(WRITERS, choice))?;
        let mut writing = self.runtime.block_on(self.writing(choice))?;
        let Amount {
            slots_per_s,
            turn,
            turns,
            ..
        } = self.amount;
        let load = |at_once| Load {
            per_s: slots_per_s,
            duration: turn,
            at_once,
        };
        let (mut commit, mut bare) = (Latencies::default(), Latencies::default());
        for number in 0..=turns {
            let committed = open_loop(
                &mut committing,
                load(SLOTS_PER_COMMIT),
                Committing::next,
                Committing::commit,
            )?;
            let written = open_loop(&mut writing, load(1), Bare::next, Bare::write)?;
            if number > 0 {
                commit.add(&committed);
                bare.add(&written);
            }
        }
        Ok(Compared {
            commit: commit.summary().context("nothing was committed")?,
            bare: bare.summary().context("nothing was written")?,
        })
    }

    /// Several slots a transaction, as fast as it goes: slots in a second.
    pub fn full_rate(&self) -> Result<f64> {
        let mut committing = self.runtime.block_on(self.committing(BUSY_WRITERS, Choice::Random))?;
        let work = |committing: &mut Committing| {
            let slots: Result<Vec<_>> = (0..SLOTS_PER_COMMIT).map(|_| committing.writer.next_slot()).collect();
            committing.commit(slots?)
        };
        closed_loop(&mut committing, self.amount.turn, work)?;
        let commits_per_s = closed_loop(&mut committing, self.amount.turn * self.amount.turns, work)?;
        Ok(commits_per_s * SLOTS_PER_COMMIT as f64)
    }

    async fn committing(&self, count: usize, choice: Choice) -> Result<Vec<Committing>> {
        let mut all = Vec::new();
        for n in 0..count {
            all.push(Committing {
                runtime: self.runtime.handle().clone(),
                committer: self.committer.clone(),
                writer: self.writer(&self.topic, choice, n).await?,
            });
        }
        Ok(all)
    }

    async fn writing(&self, choice: Choice) -> Result<Vec<Bare>> {
        let mut all = Vec::new();
        for n in 0..WRITERS {
            all.push(Bare {
                runtime: self.runtime.handle().clone(),
                connection: self.database.connect(ONE_BY_ONE).await?,
                topic: self.bare_topic.clone(),
                offsets: self.offsets.clone(),
                writer: self.writer(&self.bare_topic, choice, n).await?,
            });
        }
        Ok(all)
    }

    async fn writer(&self, topic: &TopicInfo, choice: Choice, n: usize) -> Result<Writer> {
        // Commits and bare transactions draw the same partitions.
        let random = StdRng::seed_from_u64(self.seed * 1000 + n as u64);
        Writer::open(&self.metastore, topic, choice, BATCH_BYTES, random).await
    }
}

impl Committing {
    fn next(&mut self) -> Result<SlotFooter> {
        self.writer.next_slot()
    }

    /// As the agent's watcher does: its producers are told before the other agents are.
    fn commit(&mut self, slots: Vec<SlotFooter>) -> Result<()> {
        let results = self.runtime.block_on(self.committer.commit_without_hint(slots))?;
        let committer = self.committer.clone();
        self.runtime.spawn(async move { committer.send_hint().await });
        for (slot, result) in results {
            let all_appended = |outcomes: &[BatchOutcome]| {
                let appended = |outcome: &BatchOutcome| matches!(outcome, BatchOutcome::Appended(_));
                outcomes.len() == BATCHES_PER_SLOT && outcomes.iter().all(appended)
            };
            let is_whole = matches!(&result, SlotResult::Committed(outcomes) if all_appended(outcomes));
            ensure!(is_whole, "slot {slot} was not committed whole: {result:?}");
        }
        Ok(())
    }
}

impl Bare {
    fn next(&mut self) -> Result<Rows> {
        Ok(Rows::of(self.writer.next_slot()?, &self.offsets))
    }

    fn write(&mut self, slots: Vec<Rows>) -> Result<()> {
        for rows in slots {
            let writing = bare::write(&mut self.connection, &self.topic, &rows);
            self.runtime.block_on(writing)?;
        }
        Ok(())
    }
}
