//! S3 behind the cache: a run of neighbouring pages is one GET.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::select_ok;
use futures::{FutureExt, TryFutureExt};
use storage::{GetRange, Got, ObjectStore, StorageError};
use tokio::time::{Instant, timeout};
use types::ObjectKey;

use crate::asker::{Asker, GetCount, Lane};
use crate::cache::Page;
use crate::error::ObjectError;
use crate::fair::{FairQueue, Turn};
use crate::flights::PageResult;
use crate::hedge::Hedge;
use crate::metrics::{self, HedgeResult};
use crate::page::PageBytes;

/// Most bytes of one GET: more would make the first reader wait longer than a second request costs.
pub(crate) const RUN_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// GETs of the hot lane at a time. With runs of 8 MiB they hold at most 128 MiB, and 16 connections to S3 carry more than the
/// network of a task. One client leaves others a quarter of them.
const HOT_FETCHES: (usize, usize) = (16, 12);

/// The same for the cold lane, which takes what the hot one can spare.
const COLD_FETCHES: (usize, usize) = (8, 4);

/// The bucket, once for each lane.
#[derive(Clone, Debug)]
pub struct Stores {
    /// For the end of the log.
    pub hot: Arc<dyn ObjectStore>,
    /// For old data.
    pub cold: Arc<dyn ObjectStore>,
}

impl From<Arc<dyn ObjectStore>> for Stores {
    fn from(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            hot: Arc::clone(&store),
            cold: store,
        }
    }
}

/// S3, a bounded number of requests at a time.
#[derive(Debug)]
pub(crate) struct Origin {
    hot: Way,
    cold: Way,
    page_bytes: PageBytes,
}

/// One lane's way to S3.
#[derive(Debug)]
struct Way {
    name: &'static str,
    store: Arc<dyn ObjectStore>,
    turns: FairQueue,
    hedge: Hedge,
}

impl Way {
    fn new(name: &'static str, store: Arc<dyn ObjectStore>, (all, of_one): (usize, usize), hedge_percent: u8) -> Self {
        Self {
            name,
            store,
            turns: FairQueue::new(all, of_one),
            hedge: Hedge::new(hedge_percent),
        }
    }

    /// One GET, or a second one when it is slow: the first answer of the two.
    async fn get(&self, object: &ObjectKey, range: GetRange, sent: &GetCount) -> Result<Got, StorageError> {
        let started = Instant::now();
        let result = self.get_hedged(object, range, sent).await;
        self.hedge.took(started.elapsed());
        result
    }

    async fn get_hedged(&self, object: &ObjectKey, range: GetRange, sent: &GetCount) -> Result<Got, StorageError> {
        sent.count();
        let mut first = self.store.get(object, range);
        let Some(delay) = self.hedge.delay() else {
            return first.await;
        };
        if let Ok(answer) = timeout(delay, &mut first).await {
            return answer;
        }
        if !self.hedge.take() {
            return first.await;
        }
        sent.count();
        let second = self.store.get(object, range);
        let first = first.map_ok(|got| (HedgeResult::Lost, got)).boxed();
        let second = second.map_ok(|got| (HedgeResult::Won, got)).boxed();
        let answered = select_ok([first, second]).await;
        metrics::count_hedge(
            answered
                .as_ref()
                .map_or(HedgeResult::Failed, |((result, _), _)| *result),
        );
        answered.map(|((_, got), _)| got)
    }
}

impl Origin {
    pub(crate) fn new(stores: Stores, page_bytes: PageBytes, hedge_percent: u8) -> Self {
        Self {
            hot: Way::new("hot", stores.hot, HOT_FETCHES, hedge_percent),
            cold: Way::new("cold", stores.cold, COLD_FETCHES, hedge_percent),
            page_bytes,
        }
    }

    /// Waits for the asker's turn. By then its GET may be of no use to anybody any more.
    pub(crate) async fn turn(&self, asker: &Asker) -> OriginTurn<'_> {
        let way = match asker.lane {
            Lane::Hot => &self.hot,
            Lane::Cold => &self.cold,
        };
        let queued = Instant::now();
        let turn = way.turns.turn(&asker.client).await;
        metrics::observe_fetch_wait(way.name, queued.elapsed());
        OriginTurn {
            way,
            page_bytes: self.page_bytes,
            _turn: turn,
        }
    }
}

/// The right to one GET; the next one's when it is dropped.
#[derive(Debug)]
pub(crate) struct OriginTurn<'a> {
    way: &'a Way,
    page_bytes: PageBytes,
    _turn: Turn,
}

impl OriginTurn<'_> {
    /// One GET for `run`; a result per page of it.
    pub(crate) async fn fetch(self, object: &ObjectKey, run: &Range<u64>, sent: &GetCount) -> Vec<PageResult> {
        let asked = self.page_bytes.bytes_of(run);
        match self.way.get(object, GetRange::Bytes(asked), sent).await {
            Ok(got) if got.range.start == asked.start => run.clone().map(|index| self.cut(&got, index)).collect(),
            Ok(got) => {
                let error = ObjectError::Origin(format!("S3 answered {} when asked for {asked}", got.range));
                vec![Err(error); run.clone().count()]
            }
            Err(error) => {
                tracing::debug!(%error, object.key = %object, "fetch failed");
                vec![Err(error.into()); run.clone().count()]
            }
        }
    }

    /// Page `index` of an answer.
    fn cut(&self, got: &Got, index: u64) -> PageResult {
        let object_bytes = got.object_bytes;
        let page = self.page_bytes.bytes_of(&(index..index + 1));
        if page.start >= object_bytes {
            return Err(ObjectError::RangeNotSatisfiable {
                object_bytes: Some(object_bytes),
            });
        }
        let end = page.end.min(object_bytes);
        let offset = |at: u64| usize::try_from(at - got.range.start).ok();
        let slice = offset(page.start)
            .zip(offset(end))
            .filter(|(_, end)| *end <= got.bytes.len());
        let (start, end) = slice.ok_or_else(|| ObjectError::Origin("S3 sent fewer bytes than it said".to_owned()))?;
        let bytes = if end - start == got.bytes.len() {
            got.bytes.clone()
        } else {
            // A slice would keep the whole run in memory for as long as one page of it is cached.
            Bytes::copy_from_slice(&got.bytes[start..end])
        };
        Ok(Page { bytes, object_bytes })
    }
}
