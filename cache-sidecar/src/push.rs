//! Whole objects that agents push once S3 has them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use tokio::time::timeout;
use types::ObjectKey;

use crate::Objects;
use crate::asker::Asker;
use crate::cache::{Page, PageKey};
use crate::error::ObjectError;
use crate::flights::{Claim, Departure};
use crate::page::PageBytes;

/// How long a body may take: readers wait for it, and give up after 3 s (`docs/cache-api.md`).
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

impl Objects {
    /// Takes a whole object that S3 has already, `object_bytes` long; nothing is kept of one that is cut off.
    ///
    /// From now on readers of its pages wait for the body instead of asking S3: they are told of a commit about when the body
    /// comes. Where it does not come, the pages that somebody waits for are fetched.
    pub async fn push<E: Send>(
        &self,
        key: &ObjectKey,
        object_bytes: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<(), ObjectError> {
        let permit = self.admit(object_bytes).await?;
        let (this, key) = (self.clone(), key.clone());
        // A task: the flights have to end, whether or not whoever pushes stays to hear of it.
        let taking = self.0.tasks.spawn("push", async move {
            let _permit = permit;
            this.take_in(&key, object_bytes, body).await
        });
        taking
            .await
            .unwrap_or_else(|_| Err(ObjectError::Origin("the push was ended".to_owned())))
    }

    async fn take_in<E>(
        &self,
        object: &ObjectKey,
        object_bytes: u64,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), ObjectError> {
        let page_count = object_bytes.div_ceil(u64::from(self.0.page_bytes.get()));
        let keys: Vec<PageKey> = (0..page_count).map(|index| self.page_key(object, index)).collect();
        let mut flights: Vec<Option<Departure>> = self
            .0
            .flights
            .claim(&self.0.cache, &keys)
            .into_iter()
            .map(|claim| match claim {
                Claim::Ours(departure, _) => Some(departure),
                Claim::Here(_) | Claim::Theirs(_) => None,
            })
            .collect();
        let taken = timeout(BODY_TIMEOUT, into_pages(self.0.page_bytes, object_bytes, body)).await;
        let taken = taken.unwrap_or(Err(ObjectError::BadRequest("the body did not come in time")));
        let pages = match taken {
            Ok(pages) => pages,
            Err(error) => {
                self.give_up(object, keys, flights);
                return Err(error);
            }
        };
        self.0.cache.remember_size(object, object_bytes);
        for ((key, bytes), flight) in keys.into_iter().zip(pages).zip(flights.drain(..)) {
            let page = Page { bytes, object_bytes };
            self.0.cache.insert_pushed(key.clone(), page.clone());
            if let Some(departure) = flight {
                self.0.flights.land_kept(&key, departure, page);
            }
        }
        Ok(())
    }

    /// Ends the flights that nobody waits for, and flies the others.
    fn give_up(&self, object: &ObjectKey, keys: Vec<PageKey>, flights: Vec<Option<Departure>>) {
        let ours = keys.into_iter().zip(flights);
        let waited_for = ours.filter_map(|(key, departure)| {
            let departure = self.0.flights.abandon(&key, departure?)?;
            Some((key.index, departure))
        });
        self.depart(object, waited_for.collect(), &Asker::default());
    }
}

/// Copies a body of exactly `object_bytes` once, into memory of its own for each page.
async fn into_pages<E>(
    page_bytes: PageBytes,
    object_bytes: u64,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Vec<Bytes>, ObjectError> {
    const WRONG: ObjectError = ObjectError::BadRequest("the body is not as long as its content-length");
    let size = page_bytes.get() as usize;
    let (mut pages, mut page) = (Vec::new(), BytesMut::new());
    let mut left = object_bytes;
    let mut body = std::pin::pin!(body);
    while let Some(mut frame) = body
        .try_next()
        .await
        .map_err(|_| ObjectError::BadRequest("the body was cut off"))?
    {
        left = left.checked_sub(frame.len() as u64).ok_or(WRONG)?;
        while !frame.is_empty() {
            page.reserve(size - page.len());
            let part = frame.split_to(frame.len().min(size - page.len()));
            page.extend_from_slice(&part);
            if page.len() == size {
                pages.push(std::mem::take(&mut page).freeze());
            }
        }
    }
    if left > 0 {
        return Err(WRONG);
    }
    if !page.is_empty() {
        // The last page is shorter: without this copy it would keep the memory of a whole one.
        pages.push(Bytes::copy_from_slice(&page));
    }
    Ok(pages)
}
