//! Ranges of objects, out of pages.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use cache_api::contract::{GETS_PARAMETER, REQUEST_BYTES_MAX};
use daemon::Tasks;
use futures::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;
use types::{ByteRange, ObjectKey};

use crate::CacheConfig;
use crate::asker::Asker;
use crate::cache::{Looked, Page, PageCache, PageKey};
use crate::error::ObjectError;
use crate::flights::{Claim, Departure, Flights, PageResult};
use crate::metrics::{self, PageSource};
use crate::origin::{Origin, RUN_BYTES_MAX, Stores};
use crate::page::{self, PageBytes};
use crate::peers::Peers;
use crate::range_header::Wanted;

/// Bytes of all requests under way: answers not yet sent, and pushes not yet whole. Four of the largest.
const IN_FLIGHT_BYTES_MAX: u64 = 4 * REQUEST_BYTES_MAX;

/// Permits are counted in KiB: a semaphore holds fewer permits than a cache has bytes.
const PERMIT_BYTES: u64 = 1024;

/// All objects of the bucket.
#[derive(Clone, Debug)]
pub struct Objects(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) cache: PageCache,
    pub(crate) flights: Flights,
    pub(crate) page_bytes: PageBytes,
    pub(crate) tasks: Tasks,
    origin: Origin,
    peers: Peers,
    in_flight: Arc<Semaphore>,
}

/// Bytes found, in pieces, and the permit that counts them until they are sent.
#[derive(Debug)]
pub struct Found {
    /// The bytes, as slices of pages.
    pub pieces: Vec<Bytes>,
    /// Where they lie in the object.
    pub range: ByteRange,
    /// Size of the whole object.
    pub object_bytes: u64,
    /// Where its pages came from.
    pub(crate) sources: Sources,
    /// To be dropped when the bytes are sent.
    pub permit: OwnedSemaphorePermit,
}

/// What is known of an object before its pages are read: its size, and the pages that telling it took.
struct Start {
    object_bytes: u64,
    /// Index of the first of `pages`.
    index: u64,
    pages: Vec<ReadPage>,
}

/// A page, and where it came from.
type ReadPage = (PageSource, PageResult);

/// Where the pages of an answer came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<PageSource>);

impl Sources {
    /// As `Cache-Status` has it (RFC 9211), with the GETs that S3 was sent for them.
    pub(crate) fn cache_status(&self, gets: u64) -> String {
        match gets {
            0 => self.said().to_owned(),
            gets => format!("{}; {GETS_PARAMETER}={gets}", self.said()),
        }
    }

    fn said(&self) -> &'static str {
        let any = |source| self.0.contains(&source);
        let here = any(PageSource::Memory) || any(PageSource::Disk);
        match (any(PageSource::Origin), any(PageSource::Shared)) {
            (false, false) if any(PageSource::Disk) => "yaks-cache; hit; detail=disk",
            (false, false) => "yaks-cache; hit; detail=memory",
            (true, _) if here => "yaks-cache; fwd=partial; stored",
            (true, _) => "yaks-cache; fwd=uri-miss; stored",
            (false, true) if here => "yaks-cache; fwd=partial; stored; collapsed",
            (false, true) => "yaks-cache; fwd=uri-miss; stored; collapsed",
        }
    }
}

impl Objects {
    /// Opens the cache in front of `stores`. Fetches run as tasks of `tasks`: a reader that goes away does not fail
    /// those who wait for the same page.
    pub async fn open(config: &CacheConfig, stores: impl Into<Stores>, tasks: Tasks) -> anyhow::Result<Self> {
        let bytes = |mb: u64| usize::try_from(mb << 20).context("YAKS_CACHE_SIZE_MB or YAKS_CACHE_DISK_MB");
        let disk_bytes = bytes(config.disk_mb)?;
        let disk = (disk_bytes > 0).then_some((config.disk_dir.as_path(), disk_bytes));
        let cache = PageCache::open(bytes(config.size_mb)?, config.page_bytes, disk).await;
        let cache = cache.with_context(|| format!("YAKS_CACHE_DISK_DIR={}", config.disk_dir.display()))?;
        Ok(Self(Arc::new(Inner {
            cache,
            flights: Flights::default(),
            page_bytes: config.page_bytes,
            tasks,
            origin: Origin::new(stores.into(), config.page_bytes, config.hedge_percent),
            peers: Peers::default(),
            in_flight: Arc::new(Semaphore::new(permits(IN_FLIGHT_BYTES_MAX) as usize)),
        })))
    }

    /// The bytes wanted, all of them or an error: an answer that has started can no longer say 502.
    pub async fn read(&self, key: &ObjectKey, wanted: Wanted, asker: &Asker) -> Result<Found, ObjectError> {
        let Start {
            object_bytes,
            index,
            pages,
        } = self.start(key, wanted, asker).await?;
        let range = wanted.within(object_bytes);
        let range = range.ok_or(ObjectError::RangeNotSatisfiable {
            object_bytes: Some(object_bytes),
        })?;
        let mut sources: Vec<PageSource> = pages.iter().map(|(source, _)| *source).collect();
        let (permit, pages) = match self.try_admit(range.len())? {
            Some(permit) => (permit, pages),
            None => {
                // Nobody holds bytes that nobody counts while he waits. They are near by, and taken again afterwards.
                drop(pages);
                (self.admit(range.len()).await?, Vec::new())
            }
        };
        let indexes = self.0.page_bytes.pages_of(range);
        let mut pages = if index == indexes.start { pages } else { Vec::new() };
        pages.truncate(indexes.clone().count());
        let more = indexes.start + pages.len() as u64..indexes.end;
        let more = self.pages(key, more, asker).await;
        sources.extend(more.iter().map(|(source, _)| *source));
        pages.extend(more);
        let cut = |(index, (_, page)): (u64, ReadPage)| self.piece(index, &page?, range);
        let pieces = indexes.zip(pages).map(cut).collect::<Result<_, _>>()?;
        Ok(Found {
            pieces,
            range,
            object_bytes,
            sources: Sources(sources),
            permit,
        })
    }

    /// The object's size, and what telling it took.
    pub async fn object_bytes(&self, key: &ObjectKey, asker: &Asker) -> Result<(u64, Sources), ObjectError> {
        let start = self.start(key, Wanted::Last(1), asker).await?;
        let sources = start.pages.iter().map(|(source, _)| *source).collect();
        Ok((start.object_bytes, Sources(sources)))
    }

    /// Waits until the disk has what it was given.
    pub async fn close(&self) -> anyhow::Result<()> {
        Ok(self.0.cache.close().await?)
    }

    /// The size, which any page tells: if it is not known, the pages are read with which the wanted bytes begin, so
    /// that it costs no request of its own.
    async fn start(&self, key: &ObjectKey, wanted: Wanted, asker: &Asker) -> Result<Start, ObjectError> {
        if let Some(object_bytes) = self.0.cache.object_bytes(key) {
            return Ok(Start {
                object_bytes,
                index: 0,
                pages: Vec::new(),
            });
        }
        let first = self.first_run(wanted);
        let index = first.start;
        let looked = self.0.cache.get(&self.page_key(key, index)).await;
        // After a restart the size is not known, but the page is on disk, and the others may not even exist.
        let more = if looked.is_some() { 0..0 } else { index + 1..first.end };
        let pages = self.pages_after(vec![looked], index, key, more, asker).await;
        match pages.first().map(|(_, page)| page) {
            Some(Ok(page)) => Ok(Start {
                object_bytes: page.object_bytes,
                index,
                pages,
            }),
            // Only an empty object has no first byte.
            Some(Err(ObjectError::RangeNotSatisfiable { .. })) if index == 0 => {
                self.0.cache.remember_size(key, 0);
                Ok(Start {
                    object_bytes: 0,
                    index,
                    pages: Vec::new(),
                })
            }
            Some(Err(error)) => Err(error.clone()),
            None => Err(ObjectError::RangeNotSatisfiable { object_bytes: None }),
        }
    }

    /// The pages to read first when the object's size is not known, all by one GET. A range is asked for by somebody who knows
    /// that it is there; of what has no end, as much as one GET takes; of what is counted from the end, one page.
    fn first_run(&self, wanted: Wanted) -> Range<u64> {
        let page_bytes = self.0.page_bytes;
        let run = page_bytes.pages_in(RUN_BYTES_MAX);
        match wanted {
            Wanted::Bytes(range) => {
                let pages = page_bytes.pages_of(range);
                pages.start..pages.end.min(pages.start + run)
            }
            Wanted::From(start) => {
                let first = start / u64::from(page_bytes.get());
                first..first + run
            }
            Wanted::Full => 0..run,
            Wanted::Last(_) => 0..1,
        }
    }

    /// Pages by index, in order: those that are here, and the others by as few S3 requests as there are gaps.
    async fn pages(&self, object: &ObjectKey, indexes: Range<u64>, asker: &Asker) -> Vec<ReadPage> {
        self.pages_after(Vec::new(), indexes.start, object, indexes, asker)
            .await
    }

    /// The same, where the pages from `first` on, before `more`, have been looked for already.
    async fn pages_after(
        &self,
        mut looked: Vec<Looked>,
        first: u64,
        object: &ObjectKey,
        more: Range<u64>,
        asker: &Asker,
    ) -> Vec<ReadPage> {
        let indexes = (first..first + looked.len() as u64).chain(more);
        let keys: Vec<PageKey> = indexes.map(|index| self.page_key(object, index)).collect();
        let more = keys.iter().skip(looked.len()).map(|key| self.0.cache.get(key));
        let more = join_all(more).await;
        looked.extend(more);
        let missing = keys.iter().zip(&looked).filter(|(_, looked)| looked.is_none());
        let missing: Vec<&PageKey> = missing.map(|(key, _)| key).collect();
        let mut fetched = if missing.is_empty() || asker.only_if_cached {
            Vec::new().into_iter()
        } else {
            self.fetch(object, &missing, asker).await.into_iter()
        };
        let pages = looked.into_iter().map(|looked| match looked {
            Some((source, page)) => (source, Ok(page)),
            None => fetched
                .next()
                .unwrap_or((PageSource::Origin, Err(ObjectError::NotCached))),
        });
        let pages: Vec<ReadPage> = pages.collect();
        for (source, page) in &pages {
            if page.is_ok() {
                metrics::count_page(*source);
            }
        }
        pages
    }

    /// Starts what nobody else has started, and waits for all of it.
    async fn fetch(&self, object: &ObjectKey, missing: &[&PageKey], asker: &Asker) -> Vec<ReadPage> {
        let mut ours = Vec::new();
        let claims = self.0.flights.claim(&self.0.cache, missing);
        let waits = missing.iter().zip(claims).map(|(key, claim)| match claim {
            Claim::Here(page) => (PageSource::Memory, Ok(page)),
            Claim::Theirs(arrival) => (PageSource::Shared, Err(arrival)),
            Claim::Ours(departure, arrival) => {
                ours.push((key.index, departure));
                (PageSource::Origin, Err(arrival))
            }
        });
        let waits: Vec<_> = waits.collect();
        self.depart(object, ours, asker);
        join_all(waits.into_iter().map(async |(source, wait)| match wait {
            Ok(page) => (source, Ok(page)),
            Err(arrival) => (source, arrival.wait().await),
        }))
        .await
    }

    /// One task, and one S3 request, per run of neighbours.
    pub(crate) fn depart(&self, object: &ObjectKey, ours: Vec<(u64, Departure)>, asker: &Asker) {
        let indexes: Vec<u64> = ours.iter().map(|(index, _)| *index).collect();
        let mut departures = ours.into_iter().map(|(_, departure)| departure);
        for run in page::runs(&indexes, self.0.page_bytes.pages_in(RUN_BYTES_MAX)) {
            let departures: Vec<Departure> = departures.by_ref().take(run.clone().count()).collect();
            let (this, object, asker) = (self.clone(), object.clone(), asker.clone());
            let fetching = async move { this.fetch_run(&object, &run, departures, &asker).await };
            // Part of what the first reader asked for, though it goes on without that one.
            self.0.tasks.spawn("fetch", fetching.in_current_span());
        }
    }

    /// From the sidecar whose pages they were, if it still has them all, else from S3: unless everybody who waited for them has
    /// gone before it is their turn there.
    async fn fetch_run(&self, object: &ObjectKey, run: &Range<u64>, departures: Vec<Departure>, asker: &Asker) {
        let keys: Vec<PageKey> = run.clone().map(|index| self.page_key(object, index)).collect();
        if let Some(url) = &asker.former_owner
            && let Some(pages) = self.0.peers.fetch(url, object, self.0.page_bytes, run).await
        {
            return self.land(keys, departures, pages.into_iter().map(Ok));
        }
        // Nobody leaves the queue: a turn that finds its waiter gone is passed on by recursion (`fair.rs`).
        let turn = self.0.origin.turn(asker).await;
        if let Some(departures) = self.0.flights.abandon_run(&keys, departures) {
            let results = turn.fetch(object, run, &asker.gets).await;
            self.land(keys, departures, results);
        }
    }

    fn land(&self, keys: Vec<PageKey>, departures: Vec<Departure>, results: impl IntoIterator<Item = PageResult>) {
        for ((key, departure), result) in keys.into_iter().zip(departures).zip(results) {
            self.0.flights.land(&self.0.cache, key, departure, result);
        }
    }

    pub(crate) fn page_key(&self, object: &ObjectKey, index: u64) -> PageKey {
        PageKey {
            object: object.clone(),
            page_bytes: self.0.page_bytes,
            index,
        }
    }

    /// The part of a page that lies in `range`. A page from disk could be of an object of the same name and another
    /// size: then it is too short, and slicing it would panic.
    fn piece(&self, index: u64, page: &Page, range: ByteRange) -> Result<Bytes, ObjectError> {
        let part = self.0.page_bytes.part_of(index, range);
        if part.end > page.bytes.len() {
            return Err(ObjectError::Origin(format!(
                "page {index} is shorter than its object's size says"
            )));
        }
        Ok(page.bytes.slice(part))
    }

    /// Waits for room among the bytes in flight.
    pub(crate) async fn admit(&self, bytes: u64) -> Result<OwnedSemaphorePermit, ObjectError> {
        refuse_too_large(bytes)?;
        let permit = Arc::clone(&self.0.in_flight).acquire_many_owned(permits(bytes)).await;
        Ok(permit.expect("the semaphore is never closed"))
    }

    /// The same, if there is room now.
    fn try_admit(&self, bytes: u64) -> Result<Option<OwnedSemaphorePermit>, ObjectError> {
        refuse_too_large(bytes)?;
        Ok(Arc::clone(&self.0.in_flight)
            .try_acquire_many_owned(permits(bytes))
            .ok())
    }
}

fn refuse_too_large(bytes: u64) -> Result<(), ObjectError> {
    if bytes > REQUEST_BYTES_MAX {
        return Err(ObjectError::TooLarge { bytes });
    }
    Ok(())
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).expect("requests are far smaller than 4 TiB")
}
