//! Other sidecars of the zone, asked for pages that were theirs until lately.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cache_api::{CacheClient, CacheError};
use tokio::sync::Semaphore;
use types::ObjectKey;

use crate::cache::Page;
use crate::metrics::{self, PeerResult};
use crate::page::PageBytes;

/// Sidecars remembered: more than a zone has. Beyond that all are forgotten, with what was known of their health.
const PEERS_MAX: usize = 64;

/// Runs asked for at a time. They hold at most 64 MiB.
const READS_MAX: usize = 8;

/// Clients of other sidecars, by address.
#[derive(Debug)]
pub(crate) struct Peers {
    clients: Mutex<HashMap<String, Arc<CacheClient>>>,
    reads: Semaphore,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            clients: Mutex::default(),
            reads: Semaphore::new(READS_MAX),
        }
    }
}

impl Peers {
    /// All pages of `run`, if the sidecar at `url` has every one of them.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        object: &ObjectKey,
        page_bytes: PageBytes,
        run: &Range<u64>,
    ) -> Option<Vec<Page>> {
        let client = self.client(url)?;
        // Until the run is cut into pages: those are counted by the cache.
        let _permit = self.reads.acquire().await.expect("the semaphore is never closed");
        let got = client.get_if_cached(object, page_bytes.bytes_of(run)).await;
        let pages = got.map(|got| cut(&got.bytes.freeze(), got.object_bytes, page_bytes, run));
        metrics::count_peer(match &pages {
            Ok(Some(_)) => PeerResult::Hit,
            Err(CacheError::NotCached(_)) => PeerResult::Miss,
            Ok(None) | Err(_) => PeerResult::Error,
        });
        pages.ok().flatten()
    }

    fn client(&self, url: &str) -> Option<Arc<CacheClient>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(url) {
            return Some(Arc::clone(client));
        }
        let client = Arc::new(CacheClient::new(url).ok()?);
        if clients.len() >= PEERS_MAX {
            clients.clear();
        }
        clients.insert(url.to_owned(), Arc::clone(&client));
        Some(client)
    }
}

/// The pages of a run; `None` where bytes are missing.
fn cut(bytes: &Bytes, object_bytes: u64, page_bytes: PageBytes, run: &Range<u64>) -> Option<Vec<Page>> {
    let start = page_bytes.bytes_of(run).start;
    let pages = run.clone().map(|index| {
        let page = page_bytes.bytes_of(&(index..index + 1));
        let from = usize::try_from(page.start - start).ok()?;
        let to = usize::try_from(page.end.min(object_bytes).checked_sub(start)?).ok()?;
        if from >= to || to > bytes.len() {
            return None;
        }
        // A slice would keep the whole run in memory for as long as one page of it is cached.
        let bytes = Bytes::copy_from_slice(&bytes[from..to]);
        Some(Page { bytes, object_bytes })
    });
    pages.collect()
}
