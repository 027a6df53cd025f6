//! An S3 on the local disk, for one machine.
//!
//! HTTP, XML and signatures are the `s3s` crate's; what happens to the bytes is ours (`store`), because the crate's own
//! file backend lets two conditional PUTs of one key both win, and spends 5.7 core-seconds per GiB on an MD5 that
//! nobody asked for. Served: CreateBucket, HeadBucket, PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects,
//! ListObjectsV2; path-style addresses; one access key.

mod backend;
mod body;
mod faults;
mod faulty;
mod keys;
mod latency;
mod listing;
mod server;
mod stats;
mod store;

pub use faults::{Outage, RequestKind, S3Fault, S3FaultRate, S3Faults, parse_probability};
pub(crate) use faults::{skewed, unit};
pub use latency::{LatencyProfile, S3Latency};
pub use server::{S3Config, S3Server};
pub use stats::{Operation, S3Stats};

/// An object that has just been made, as the event about it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedObject {
    /// The bucket.
    pub bucket: String,
    /// The key, not encoded.
    pub key: String,
    /// Its size.
    pub object_bytes: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
}

/// Who is told of every successful PUT.
pub type OnCreated = std::sync::Arc<dyn Fn(CreatedObject) + Send + Sync>;
