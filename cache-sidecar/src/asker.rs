//! Who asks, and how: what a request says besides key and range.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use cache_api::contract::{CLIENT_HEADER, COLD, FORMER_OWNER_HEADER, LANE_HEADER, ONLY_IF_CACHED};

/// Longest name of a client that is told apart from others.
const CLIENT_BYTES_MAX: usize = 128;

/// The way to S3 that a request takes when it misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The end of the log, which everybody waits for.
    #[default]
    Hot,
    /// Old data, which may take longer.
    Cold,
}

/// What a request says of itself, and what it has cost so far.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// Whose turn at S3 it takes.
    pub client: String,
    /// Which way it takes there.
    pub lane: Lane,
    /// The sidecar that these pages were asked of until lately.
    pub former_owner: Option<String>,
    /// Whether S3 is left alone.
    pub only_if_cached: bool,
    /// GETs that were sent to S3 for it, by whatever task.
    pub gets: GetCount,
}

/// Counts GETs; clones count together.
#[derive(Clone, Debug, Default)]
pub struct GetCount(Arc<AtomicU64>);

impl GetCount {
    /// One more is sent.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were sent. Whoever waits for a page knows of all that were sent for it: they are counted before they are.
    pub fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Asker {
    /// Reads the headers. A client that does not name itself is known by its address; what is not understood is as if it had
    /// not been said.
    pub(crate) fn of(headers: &HeaderMap, address: Option<IpAddr>) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let named = text(CLIENT_HEADER).filter(|name| name.len() <= CLIENT_BYTES_MAX);
        Self {
            client: named.map_or_else(
                || address.map(|address| address.to_string()).unwrap_or_default(),
                str::to_owned,
            ),
            lane: if text(LANE_HEADER) == Some(COLD) {
                Lane::Cold
            } else {
                Lane::Hot
            },
            former_owner: text(FORMER_OWNER_HEADER).map(str::to_owned),
            only_if_cached: text(CACHE_CONTROL.as_str()).is_some_and(|value| value.contains(ONLY_IF_CACHED)),
            gets: GetCount::default(),
        }
    }
}
