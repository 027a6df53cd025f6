//! Requests and bytes by operation: what an S3 bill is made of.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// An S3 operation that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make a bucket.
    CreateBucket,
    /// Is the bucket there?
    HeadBucket,
    /// Write an object.
    PutObject,
    /// Read an object or a range of it.
    GetObject,
    /// Is the object there?
    HeadObject,
    /// Delete one object.
    DeleteObject,
    /// Delete several objects.
    DeleteObjects,
    /// List keys.
    ListObjectsV2,
}

const OPERATIONS: [Operation; 8] = [
    Operation::CreateBucket,
    Operation::HeadBucket,
    Operation::PutObject,
    Operation::GetObject,
    Operation::HeadObject,
    Operation::DeleteObject,
    Operation::DeleteObjects,
    Operation::ListObjectsV2,
];

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct S3Stats {
    by_operation: [Counters; OPERATIONS.len()],
}

impl S3Stats {
    pub(super) fn count(&self, operation: Operation, succeeded: bool) {
        let counters = &self.by_operation[operation as usize];
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.errors.fetch_add(u64::from(!succeeded), Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, operation: Operation, bytes: u64) {
        self.by_operation[operation as usize]
            .bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many requests came, refused ones included.
    pub fn requests(&self, operation: Operation) -> u64 {
        self.by_operation[operation as usize].requests.load(Ordering::Relaxed)
    }

    /// How many of them were refused.
    pub fn errors(&self, operation: Operation) -> u64 {
        self.by_operation[operation as usize].errors.load(Ordering::Relaxed)
    }

    /// How many bytes of objects went in (PutObject) or out (GetObject).
    pub fn bytes(&self, operation: Operation) -> u64 {
        self.by_operation[operation as usize].bytes.load(Ordering::Relaxed)
    }

    /// In Prometheus's text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        type Read = fn(&S3Stats, Operation) -> u64;
        let families: [(&str, Read); 3] = [
            ("yaks_dev_s3_requests_total", Self::requests),
            ("yaks_dev_s3_errors_total", Self::errors),
            ("yaks_dev_s3_bytes_total", Self::bytes),
        ];
        for (family, read) in families {
            let _ = writeln!(text, "# TYPE {family} counter");
            for operation in OPERATIONS {
                let _ = writeln!(
                    text,
                    "{family}{{operation=\"{operation:?}\"}} {}",
                    read(self, operation)
                );
            }
        }
        text
    }
}
