//! What a pool tells of itself.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::metrics::{MEMORY_HELD, MEMORY_MAX, MEMORY_REFUSED, MEMORY_SHORTENED, MEMORY_WAIT};

/// The metrics of one pool, looked up once; every connection has some.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Handles>);

struct Handles {
    held: Gauge,
    wait: Histogram,
    shortened: Counter,
    refused: Counter,
}

impl Meter {
    /// Those of the pool `name`, one of the label's values, which has `bytes_max`.
    pub(crate) fn new(name: &'static str, bytes_max: usize) -> Self {
        gauge!(MEMORY_MAX, "pool" => name).set(bytes_max as f64);
        Self(Arc::new(Handles {
            held: gauge!(MEMORY_HELD, "pool" => name),
            wait: histogram!(MEMORY_WAIT, "pool" => name),
            shortened: counter!(MEMORY_SHORTENED, "pool" => name),
            refused: counter!(MEMORY_REFUSED, "pool" => name),
        }))
    }

    /// A pool that is not told of.
    pub(crate) fn silent() -> Self {
        Self(Arc::new(Handles {
            held: Gauge::noop(),
            wait: Histogram::noop(),
            shortened: Counter::noop(),
            refused: Counter::noop(),
        }))
    }

    /// Counts bytes in; they are counted out when this is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Counted {
        self.0.held.increment(bytes as f64);
        Counted {
            held: self.0.held.clone(),
            bytes,
        }
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.0.wait.record(time.as_secs_f64());
    }

    pub(crate) fn shortened(&self) {
        self.0.shortened.increment(1);
    }

    pub(crate) fn refused(&self) {
        self.0.refused.increment(1);
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meter")
    }
}

/// Bytes that are shown as held.
pub(crate) struct Counted {
    held: Gauge,
    bytes: usize,
}

impl Counted {
    /// Changes how many they are.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.held.increment(bytes as f64 - self.bytes as f64);
        self.bytes = bytes;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.decrement(self.bytes as f64);
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}
