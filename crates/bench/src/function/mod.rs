//! The function by itself: how large it is, how soon it asks for work, and what the commit of one slot costs it.

mod instance;
mod package;
mod runtime_api;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use metastore::Metastore;
use object_format::slot_key;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use storage::{ObjectStore, PutOutcome, S3Config, S3Store};
use tokio::runtime::Builder;
use types::{ObjectKey, SlotSeq};

use self::instance::{Instance, Plan};
pub use self::package::Package;
use crate::commits::{BATCHES_PER_SLOT, Choice, Writer};
use crate::database::{Database, create_topic};
use crate::latency::{Latencies, LatencySummary};

/// The function reads the last 256 KiB of an object, which are there in all but the smallest ones.
const BATCH_BYTES: u64 = 4096;
/// Connections of the bench itself.
const CONNECTIONS: u32 = 2;

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Processes that are started.
    pub starts: usize,
    /// Slots that are committed before any is measured.
    pub warm_up: usize,
    /// Slots that are measured.
    pub slots: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Handled {
    /// Bytes of the zip that Lambda is given, if there is one.
    pub zip_bytes: Option<u64>,
    /// From the start of a process until it asks for work.
    pub start: LatencySummary,
    /// Processor time for one slot, when it is warm.
    pub cpu: Duration,
    /// One invocation, S3 and Postgres included.
    pub invocation: LatencySummary,
}

/// Measures the function with the S3 at `s3_endpoint`, and with a Postgres below `directory`.
pub fn measure(package: &Package, s3_endpoint: &str, directory: &Path, amount: Amount) -> Result<Handled> {
    let database = Database::start(directory)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let postgres = database.config(CONNECTIONS);
        let plan = Plan {
            program: &package.program,
            s3_endpoint,
            postgres: &postgres,
            log_file: &directory.join("function.log"),
        };
        let start = starts(plan, amount.starts).await?;
        let (cpu, invocation) = commits(plan, &database, amount).await?;
        Ok(Handled {
            zip_bytes: package.zip_bytes,
            start,
            cpu,
            invocation,
        })
    })
}

async fn starts(plan: Plan<'_>, times: usize) -> Result<LatencySummary> {
    let mut latencies = Latencies::default();
    for _ in 0..times {
        let instance = Instance::start(plan).await?;
        latencies.record(instance.started_in());
        instance.stop().await?;
    }
    latencies.summary().context("the function was not started")
}

/// One instance commits one slot after the other, as its events come.
async fn commits(plan: Plan<'_>, database: &Database, amount: Amount) -> Result<(Duration, LatencySummary)> {
    let metastore = database.metastore(CONNECTIONS).await?;
    let topic = create_topic(&metastore, "handled", i32::try_from(BATCHES_PER_SLOT)?).await?;
    let random = StdRng::seed_from_u64(0);
    let mut writer = Writer::open(&metastore, &topic, Choice::Same, BATCH_BYTES, random).await?;
    let keys = upload(&mut writer, plan.s3_endpoint, amount.warm_up + amount.slots).await?;
    let mut instance = Instance::start(plan).await?;
    for (key, object_bytes) in &keys[..amount.warm_up] {
        instance.tell(key, *object_bytes).await?;
    }
    let process = instance.process()?;
    let mut latencies = Latencies::default();
    let before = process.usage()?.cpu;
    for (key, object_bytes) in &keys[amount.warm_up..] {
        let began = Instant::now();
        instance.tell(key, *object_bytes).await?;
        latencies.record(began.elapsed());
    }
    let cpu = process.usage()?.cpu.saturating_sub(before);
    instance.stop().await?;
    check(&metastore, &writer).await?;
    let slots = u32::try_from(amount.slots)?;
    Ok((
        cpu / slots.max(1),
        latencies.summary().context("no slot was committed")?,
    ))
}

/// PUTs so many objects into the next slots, and returns their keys and sizes.
async fn upload(writer: &mut Writer, s3_endpoint: &str, count: usize) -> Result<Vec<(ObjectKey, u64)>> {
    let store: Arc<dyn ObjectStore> = Arc::new(S3Store::new(&s3_config(s3_endpoint)).await?);
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let slot = writer.next_slot()?;
        let key = slot_key(slot.slot());
        let batches_bytes = slot.object_bytes - slot.tail.len() as u64;
        let mut body = BytesMut::zeroed(usize::try_from(batches_bytes)?);
        body.extend_from_slice(&slot.tail);
        let put = store.put_if_absent(&key, Bytes::from(body)).await?;
        ensure!(put == PutOutcome::Created, "{key} is there already");
        keys.push((key, slot.object_bytes));
    }
    Ok(keys)
}

/// The function said that it did; the stream's row shows it.
async fn check(metastore: &Metastore, writer: &Writer) -> Result<()> {
    let progress = metastore.stream_progress(writer.stream(), SlotSeq(0), 0).await?;
    let committed = progress.map(|progress| progress.next_seq);
    ensure!(
        committed == Some(SlotSeq(writer.slots())),
        "{} slots were given to the function, and committed is {committed:?}",
        writer.slots()
    );
    Ok(())
}

/// As every setting defaults to, but for the address.
fn s3_config(endpoint: &str) -> S3Config {
    S3Config {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "test".to_owned(),
        secret_key: "test".into(),
        path_style: true,
        bucket: "test-bucket".to_owned(),
    }
}
