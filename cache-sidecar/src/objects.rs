//! Ranges of objects, out of pages.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use cache_api::contract::REQUEST_BYTES_MAX;
use daemon::Tasks;
use futures::future::join_all;
use futures::{Stream, TryStreamExt};
use storage::ObjectStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{ByteRange, ObjectKey};

use crate::CacheConfig;
use crate::cache::{Page, PageCache, PageKey};
use crate::error::ObjectError;
use crate::flights::{Claim, Departure, Flights, PageResult};
use crate::metrics::{self, PageSource};
use crate::origin::{Origin, RUN_BYTES_MAX};
use crate::page::{self, PageBytes};
use crate::range_header::Wanted;

/// Bytes of all requests under way: answers not yet sent, and pushes not yet whole. Four of the largest.
const IN_FLIGHT_BYTES_MAX: u64 = 4 * REQUEST_BYTES_MAX;

/// Permits are counted in KiB: a semaphore holds fewer permits than a cache has bytes.
const PERMIT_BYTES: u64 = 1024;

/// All objects of the bucket.
#[derive(Clone, Debug)]
pub struct Objects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cache: PageCache,
    flights: Flights,
    origin: Origin,
    page_bytes: PageBytes,
    in_flight: Arc<Semaphore>,
    tasks: Tasks,
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
    /// To be dropped when the bytes are sent.
    pub permit: OwnedSemaphorePermit,
}

/// What is known of an object before its pages are read: its size, and the pages that telling it took.
struct Start {
    object_bytes: u64,
    /// Index of the first of `pages`.
    index: u64,
    pages: Vec<PageResult>,
}

impl Objects {
    /// Opens the cache in front of `store`. Fetches run as tasks of `tasks`: a reader that goes away does not fail
    /// those who wait for the same page.
    pub async fn open(config: &CacheConfig, store: Arc<dyn ObjectStore>, tasks: Tasks) -> anyhow::Result<Self> {
        metrics::describe();
        let bytes = |mb: u64| usize::try_from(mb << 20).context("YAKS_CACHE_SIZE_MB or YAKS_CACHE_DISK_MB");
        let disk_bytes = bytes(config.disk_mb)?;
        let disk = (disk_bytes > 0).then_some((config.disk_dir.as_path(), disk_bytes));
        let cache = PageCache::open(bytes(config.size_mb)?, disk).await;
        let cache = cache.with_context(|| format!("YAKS_CACHE_DISK_DIR={}", config.disk_dir.display()))?;
        Ok(Self(Arc::new(Inner {
            cache,
            flights: Flights::default(),
            origin: Origin::new(store, config.page_bytes),
            page_bytes: config.page_bytes,
            in_flight: Arc::new(Semaphore::new(permits(IN_FLIGHT_BYTES_MAX) as usize)),
            tasks,
        })))
    }

    /// The bytes wanted, all of them or an error: an answer that has started can no longer say 502.
    pub async fn read(&self, key: &ObjectKey, wanted: Wanted) -> Result<Found, ObjectError> {
        let Start {
            object_bytes,
            index,
            pages,
        } = self.start(key, wanted).await?;
        let range = wanted.within(object_bytes);
        let range = range.ok_or(ObjectError::RangeNotSatisfiable {
            object_bytes: Some(object_bytes),
        })?;
        let permit = self.admit(range.len()).await?;
        let indexes = self.0.page_bytes.pages_of(range);
        let mut pages = if index == indexes.start { pages } else { Vec::new() };
        pages.truncate(indexes.clone().count());
        pages.extend(self.pages(key, indexes.start + pages.len() as u64..indexes.end).await);
        let cut = |(index, page): (u64, PageResult)| self.piece(index, &page?, range);
        let pieces = indexes.zip(pages).map(cut).collect::<Result<_, _>>()?;
        Ok(Found {
            pieces,
            range,
            object_bytes,
            permit,
        })
    }

    /// The object's size.
    pub async fn object_bytes(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        Ok(self.start(key, Wanted::Full).await?.object_bytes)
    }

    /// Takes a whole object that S3 has already, `object_bytes` long; nothing is kept of one that is cut off.
    pub async fn push<E>(
        &self,
        key: &ObjectKey,
        object_bytes: u64,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), ObjectError> {
        let _permit = self.admit(object_bytes).await?;
        let pages = into_pages(self.0.page_bytes, body).await?;
        let taken: u64 = pages.iter().map(|bytes| bytes.len() as u64).sum();
        if taken != object_bytes {
            return Err(ObjectError::BadRequest("the body is not as long as its content-length"));
        }
        self.0.cache.remember_size(key, object_bytes);
        for (index, bytes) in (0..).zip(pages) {
            self.0
                .cache
                .insert(self.page_key(key, index), Page { bytes, object_bytes });
        }
        Ok(())
    }

    /// Waits until the disk has what it was given.
    pub async fn close(&self) -> anyhow::Result<()> {
        Ok(self.0.cache.close().await?)
    }

    /// The size, which any page tells: if it is not known, the pages are read with which the wanted bytes begin, so
    /// that it costs no request of its own.
    async fn start(&self, key: &ObjectKey, wanted: Wanted) -> Result<Start, ObjectError> {
        if let Some(object_bytes) = self.0.cache.object_bytes(key) {
            return Ok(Start {
                object_bytes,
                index: 0,
                pages: Vec::new(),
            });
        }
        let first = self.first_run(wanted);
        let index = first.start;
        let pages = self.pages(key, first).await;
        match pages.first() {
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

    /// The pages to read first when the object's size is not known. A range is asked for by somebody who knows that
    /// it is there, so all its pages (of one GET) are read; of anything else, one page.
    fn first_run(&self, wanted: Wanted) -> Range<u64> {
        let page_bytes = self.0.page_bytes;
        match wanted {
            Wanted::Bytes(range) => {
                let pages = page_bytes.pages_of(range);
                pages.start..pages.end.min(pages.start + page_bytes.pages_in(RUN_BYTES_MAX))
            }
            Wanted::From(start) => {
                let first = start / u64::from(page_bytes.get());
                first..first + 1
            }
            Wanted::Full | Wanted::Last(_) => 0..1,
        }
    }

    /// Pages by index, in order: those that are here, and the others by as few S3 requests as there are gaps.
    async fn pages(&self, object: &ObjectKey, indexes: Range<u64>) -> Vec<PageResult> {
        let keys: Vec<PageKey> = indexes.clone().map(|index| self.page_key(object, index)).collect();
        let found = join_all(keys.iter().map(|key| self.0.cache.get(key))).await;
        let missing: Vec<PageKey> = keys
            .iter()
            .zip(&found)
            .filter(|(_, page)| page.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if missing.is_empty() {
            return found.into_iter().flatten().map(Ok).collect();
        }
        let mut fetched = self.fetch(object, &missing).await.into_iter();
        let or_fetched = |page: Option<Page>| match page {
            Some(page) => Ok(page),
            None => fetched.next().expect("every missing page has a result"),
        };
        found.into_iter().map(or_fetched).collect()
    }

    /// Starts what nobody else has started, and waits for all of it.
    async fn fetch(&self, object: &ObjectKey, missing: &[PageKey]) -> Vec<PageResult> {
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
        self.depart(object, ours);
        join_all(waits.into_iter().map(async |(source, wait)| {
            metrics::count_page(source);
            match wait {
                Ok(page) => Ok(page),
                Err(arrival) => arrival.wait().await,
            }
        }))
        .await
    }

    /// One task, and one S3 request, per run of neighbours.
    fn depart(&self, object: &ObjectKey, ours: Vec<(u64, Departure)>) {
        let indexes: Vec<u64> = ours.iter().map(|(index, _)| *index).collect();
        let mut departures = ours.into_iter().map(|(_, departure)| departure);
        for run in page::runs(&indexes, self.0.page_bytes.pages_in(RUN_BYTES_MAX)) {
            let departures: Vec<Departure> = departures.by_ref().take(run.clone().count()).collect();
            let (this, object) = (self.clone(), object.clone());
            self.0.tasks.spawn("fetch from S3", async move {
                let results = this.0.origin.fetch(&object, &run).await;
                for ((index, departure), result) in run.zip(departures).zip(results) {
                    this.0
                        .flights
                        .land(&this.0.cache, this.page_key(&object, index), departure, result);
                }
            });
        }
    }

    fn page_key(&self, object: &ObjectKey, index: u64) -> PageKey {
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
    async fn admit(&self, bytes: u64) -> Result<OwnedSemaphorePermit, ObjectError> {
        if bytes > REQUEST_BYTES_MAX {
            return Err(ObjectError::TooLarge { bytes });
        }
        let permit = Arc::clone(&self.0.in_flight).acquire_many_owned(permits(bytes)).await;
        Ok(permit.expect("the semaphore is never closed"))
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).expect("requests are far smaller than 4 TiB")
}

/// Copies a body once, into memory of its own for each page.
async fn into_pages<E>(
    page_bytes: PageBytes,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Vec<Bytes>, ObjectError> {
    let size = page_bytes.get() as usize;
    let (mut pages, mut page) = (Vec::new(), BytesMut::new());
    let mut body = std::pin::pin!(body);
    while let Some(mut frame) = body
        .try_next()
        .await
        .map_err(|_| ObjectError::BadRequest("the body was cut off"))?
    {
        while !frame.is_empty() {
            page.reserve(size - page.len());
            let part = frame.split_to(frame.len().min(size - page.len()));
            page.extend_from_slice(&part);
            if page.len() == size {
                pages.push(std::mem::take(&mut page).freeze());
            }
        }
    }
    if !page.is_empty() {
        // The last page is shorter: without this copy it would keep the memory of a whole one.
        pages.push(Bytes::copy_from_slice(&page));
    }
    Ok(pages)
}
