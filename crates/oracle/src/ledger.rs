//! The ledger: every record sent and every record read, in one SQLite file.
//!
//! One thread writes; everybody else sends it entries through a bounded channel, so that memory stays bounded and a slow disk slows the
//! producers. Whatever waits in the channel goes into one transaction. The file is a protocol of this run and worth nothing after a
//! power cut, so it is not synced.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, anyhow};
use rusqlite::{Connection, OpenFlags, params};

use crate::log_digest::LogDigest;
use crate::record::{Decoded, RecordId, Target};

/// Entries that may wait for the writer.
const QUEUE_ENTRIES_MAX: usize = 10_000;
/// Entries of one transaction at most.
const TRANSACTION_ENTRIES_MAX: usize = 10_000;

/// One line of the ledger.
pub(crate) enum Entry {
    /// About to be sent.
    Sent { id: RecordId, checksum: u32 },
    /// Acked, with the offset if the ack knew it.
    Acked { id: RecordId, offset: Option<i64> },
    /// Given up; it may be there or not.
    Failed { id: RecordId, error: String },
    /// Found in a partition.
    Read {
        target: Target,
        offset: i64,
        record: Decoded,
    },
    /// Nothing was read so far: a new verification begins.
    ForgetReads,
    /// Tells when everything before it is in the file.
    Settled(SyncSender<()>),
}

/// The handle that entries are sent through.
#[derive(Clone, Debug)]
pub(crate) struct LedgerSender(SyncSender<Entry>);

impl LedgerSender {
    /// Adds an entry; fails when the writer has stopped, for example because the disk is full.
    pub(crate) fn add(&self, entry: Entry) -> anyhow::Result<()> {
        self.0
            .send(entry)
            .map_err(|_| anyhow!("the ledger's writer has stopped"))
    }
}

/// The ledger and its writer thread.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    sender: Option<LedgerSender>,
    writer: Option<JoinHandle<rusqlite::Result<()>>>,
}

impl Ledger {
    /// Creates the file and starts the writer.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = create(path).with_context(|| format!("could not create the ledger {}", path.display()))?;
        let (sender, entries) = sync_channel(QUEUE_ENTRIES_MAX);
        let writer = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write_all(connection, &entries))
            .context("could not start the ledger's writer")?;
        Ok(Self {
            path: path.to_owned(),
            sender: Some(LedgerSender(sender)),
            writer: Some(writer),
        })
    }

    /// A handle to add entries through.
    pub(crate) fn sender(&self) -> LedgerSender {
        self.sender.clone().expect("the sender is only taken in drop")
    }

    /// Waits until everything added so far is in the file.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        let (settled, wait) = sync_channel(1);
        self.sender().add(Entry::Settled(settled))?;
        wait.recv().context("the ledger's writer has stopped")
    }

    /// Forgets what an earlier verification read.
    pub(crate) fn forget_reads(&self) -> anyhow::Result<()> {
        self.sender().add(Entry::ForgetReads)
    }

    /// A connection that only reads.
    pub(crate) fn reader(&self) -> anyhow::Result<Connection> {
        Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("could not read the ledger {}", self.path.display()))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// How many acked records of `target` have not been read yet.
pub(crate) fn missing(reader: &Connection, target: &Target) -> rusqlite::Result<u64> {
    reader
        .prepare_cached(
            "SELECT count(*) FROM sent
             WHERE topic = ?1 AND partition = ?2 AND state = 'acked'
               AND NOT EXISTS (SELECT 1 FROM read WHERE read.topic = sent.topic AND read.partition = sent.partition
                               AND read.producer = sent.producer AND read.sequence = sent.sequence)",
        )?
        .query_row(params![target.topic, target.partition], |row| row.get(0))
}

/// What was read of `target` below `offset`, in the order of offsets.
pub(crate) fn log_below(reader: &Connection, target: &Target, offset: i64) -> rusqlite::Result<LogDigest> {
    let mut statement = reader.prepare_cached(
        "SELECT producer, sequence FROM read WHERE topic = ?1 AND partition = ?2 AND \"offset\" < ?3 ORDER BY \"offset\"",
    )?;
    let mut rows = statement.query(params![target.topic, target.partition, offset])?;
    let mut digest = LogDigest::default();
    while let Some(row) = rows.next()? {
        let (producer, sequence): (Option<u32>, Option<u64>) = (row.get(0)?, row.get(1)?);
        digest.add(producer.zip(sequence));
    }
    Ok(digest)
}

/// Opens a ledger and lays out its tables; the judge's tests do so in memory.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.execute_batch(include_str!("../queries/schema.sql"))?;
    Ok(connection)
}

fn write_all(mut connection: Connection, entries: &Receiver<Entry>) -> rusqlite::Result<()> {
    let started = Instant::now();
    while let Ok(first) = entries.recv() {
        let mut settled = Vec::new();
        let transaction = connection.transaction()?;
        let now_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        for entry in std::iter::once(first)
            .chain(entries.try_iter())
            .take(TRANSACTION_ENTRIES_MAX)
        {
            if let Entry::Settled(waiter) = entry {
                settled.push(waiter);
            } else {
                write(&transaction, entry, now_ms)?;
            }
        }
        transaction.commit()?;
        for waiter in settled {
            let _ = waiter.send(());
        }
    }
    Ok(())
}

/// Writes one entry down.
pub(crate) fn write(connection: &Connection, entry: Entry, now_ms: i64) -> rusqlite::Result<()> {
    match entry {
        Entry::Sent { id, checksum } => connection
            .prepare_cached(
                "INSERT INTO sent (topic, partition, producer, sequence, checksum, sent_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id.target.topic,
                id.target.partition,
                id.producer,
                id.sequence,
                checksum,
                now_ms
            ]),
        Entry::Acked { id, offset } => settle(connection, &id, "acked", offset, None, now_ms),
        Entry::Failed { id, error } => settle(connection, &id, "failed", None, Some(&error), now_ms),
        Entry::Read { target, offset, record } => connection
            .prepare_cached(
                "INSERT INTO read (topic, partition, \"offset\", producer, sequence, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                target.topic,
                target.partition,
                offset,
                record.from.map(|(producer, _)| producer),
                record.from.map(|(_, sequence)| sequence),
                record.checksum
            ]),
        Entry::ForgetReads => connection.execute("DELETE FROM read", []),
        Entry::Settled(_) => Ok(0),
    }
    .map(drop)
}

fn settle(
    connection: &Connection,
    id: &RecordId,
    state: &str,
    offset: Option<i64>,
    error: Option<&str>,
    now_ms: i64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE sent SET state = ?5, acked_offset = ?6, error = ?7, settled_ms = ?8
             WHERE topic = ?1 AND partition = ?2 AND producer = ?3 AND sequence = ?4",
        )?
        .execute(params![
            id.target.topic,
            id.target.partition,
            id.producer,
            id.sequence,
            state,
            offset,
            error,
            now_ms
        ])
}
