//! S3 behind the cache: a run of neighbouring pages is one GET.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use storage::{GetRange, Got, ObjectStore};
use tokio::sync::Semaphore;
use types::ObjectKey;

use crate::cache::Page;
use crate::error::ObjectError;
use crate::flights::PageResult;
use crate::page::PageBytes;

/// Most bytes of one GET: more would make the first reader wait longer than a second request costs.
pub(crate) const RUN_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// GETs at a time. With runs of 8 MiB they hold at most 128 MiB, and 16 connections to S3 carry more than the network
/// of a task.
const FETCHES_MAX: usize = 16;

/// S3, a bounded number of requests at a time.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    store: Arc<dyn ObjectStore>,
    fetches: Arc<Semaphore>,
    page_bytes: PageBytes,
}

impl Origin {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, page_bytes: PageBytes) -> Self {
        Self {
            store,
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            page_bytes,
        }
    }

    /// One GET for `run`; a result per page of it.
    pub(crate) async fn fetch(&self, object: &ObjectKey, run: &Range<u64>) -> Vec<PageResult> {
        let _permit = self.fetches.acquire().await.expect("the semaphore is never closed");
        let asked = self.page_bytes.bytes_of(run);
        match self.store.get(object, GetRange::Bytes(asked)).await {
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
