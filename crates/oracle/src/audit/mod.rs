//! The audit of a live deployment: does what Postgres says about the data agree with what lies in the bucket?
//!
//! Read only, and safe under load. It walks through streams, index, objects and bucket, a page at a time. What it compares was
//! either written by one transaction, or it is looked at in the order that the write path keeps: S3 first, then the row. So it
//! gives no false alarm on a system that works while it is looked at: what is committed after an audit has passed by is left to
//! the next one, and a slot that is decided and not indexed is only named when it stays so.
//!
//! Work can stop after any page and go on later from an [`AuditState`]. Memory is bounded by a page of rows and by a few pieces
//! of objects, whatever the deployment holds.

mod bucket;
mod config;
mod content;
mod drive;
mod finding;
mod index;
mod objects;
mod state;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metastore::{Metastore, MetastoreError};
use storage::{ObjectStore, StorageError};
use types::ClusterId;

pub use config::AuditConfig;
pub use drive::{Ended, Listener, drive, run};
pub use finding::{Check, Finding, FindingKind};
pub use state::{AuditState, Phase, Tally};

/// Why an audit could not go on. It says nothing about the data.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Postgres failed.
    #[error("postgres: {0}")]
    Metastore(#[from] MetastoreError),
    /// S3 failed.
    #[error("s3: {0}")]
    Storage(#[from] StorageError),
}

impl AuditError {
    fn is_retriable(&self) -> bool {
        match self {
            Self::Metastore(error) => matches!(error, MetastoreError::Unavailable(_)),
            Self::Storage(error) => error.is_retriable(),
        }
    }
}

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// Objects, or partitions, that are looked at together.
    pub concurrency: usize,
    /// How long a slot may be decided and not indexed.
    pub unsequenced_max_age: Duration,
}

/// An audit of one deployment.
#[derive(Debug)]
pub struct Audit {
    metastore: Metastore,
    store: Arc<dyn ObjectStore>,
    cluster: ClusterId,
    options: AuditOptions,
    suspects: bucket::Suspects,
    bytes_read: AtomicU64,
}

/// What one page gave.
#[derive(Debug)]
pub struct Page {
    /// Where to go on.
    pub next: Phase,
    /// Things looked at.
    pub checked: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// An audit of what `metastore` and `store` hold.
    pub async fn new(
        metastore: Metastore,
        store: Arc<dyn ObjectStore>,
        options: AuditOptions,
    ) -> Result<Self, AuditError> {
        let cluster = metastore.cluster_id().await?;
        Ok(Self {
            metastore,
            store,
            cluster,
            options,
            suspects: bucket::Suspects::default(),
            bytes_read: AtomicU64::new(0),
        })
    }

    /// The cluster it looks at.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Bytes of objects read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Looks at the page that begins where `phase` stands. Safe to cancel and to repeat.
    pub async fn page(&self, phase: &Phase) -> Result<Page, AuditError> {
        match phase {
            Phase::Streams { after } => self.streams_page(*after).await,
            Phase::Index { after } => self.index_page(*after).await,
            Phase::Objects { after, to } => self.objects_page(*after, *to).await,
            Phase::Bucket { after } => self.bucket_page(after.as_deref()).await,
            Phase::Unsequenced => self.unsequenced_page().await,
            Phase::Done => Ok(Page {
                next: Phase::Done,
                checked: 0,
                findings: Vec::new(),
            }),
        }
    }
}
