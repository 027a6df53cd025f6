//! Who fetches which page: one flight per page, however many wait for it.
//!
//! foyer has a single flight of its own (`get_or_fetch`), per entry. Ours is per request: pages that lie side by side
//! are fetched by one S3 request, which needs to know all pages it is for before it starts.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::cache::{Page, PageCache, PageKey};
use crate::error::ObjectError;

pub(crate) type PageResult = Result<Page, ObjectError>;

/// Waits for a page's result.
#[derive(Debug)]
pub(crate) struct Arrival(watch::Receiver<Option<PageResult>>);

impl Arrival {
    /// The result; may be cancelled, the flight goes on.
    pub(crate) async fn wait(mut self) -> PageResult {
        match self.0.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(ObjectError::NotFound)),
            Err(_) => Err(ObjectError::Origin("the fetch ended without a result".to_owned())),
        }
    }
}

/// The right and the duty to fetch a page. Dropped without a result, it fails everybody who waits.
#[derive(Debug)]
pub(crate) struct Departure(watch::Sender<Option<PageResult>>);

impl Departure {
    fn is_waited_for(&self) -> bool {
        // One receiver is the table's own.
        self.0.receiver_count() > 1
    }
}

/// What a reader has to do for a page that it did not find.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It has come in the meantime.
    Here(Page),
    /// Somebody else is fetching it.
    Theirs(Arrival),
    /// Fetch it, and wait like everybody else.
    Ours(Departure, Arrival),
}

/// Pages being fetched.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<PageKey, watch::Receiver<Option<PageResult>>>>);

impl Flights {
    /// Claims pages in one step, so that of two readers of the same pages one gets all of them.
    pub(crate) fn claim(&self, cache: &PageCache, keys: &[impl Borrow<PageKey>]) -> Vec<Claim> {
        let mut flights = self.flights();
        let mut claim = |key: &PageKey| {
            if let Some(arrival) = flights.get(key) {
                return Claim::Theirs(Arrival(arrival.clone()));
            }
            // A flight that landed between the caller's look and this one left its page here before it went.
            if let Some(page) = cache.get_in_memory(key) {
                return Claim::Here(page);
            }
            let (departure, arrival) = watch::channel(None);
            flights.insert(key.clone(), arrival.clone());
            Claim::Ours(Departure(departure), Arrival(arrival))
        };
        keys.iter().map(|key| claim(key.borrow())).collect()
    }

    /// Ends a flight. A page goes into the cache first: whoever finds no flight then finds the page.
    pub(crate) fn land(&self, cache: &PageCache, key: PageKey, departure: Departure, result: PageResult) {
        if let Ok(page) = &result {
            cache.insert(key.clone(), page.clone());
        }
        self.end(&key, departure, result);
    }

    /// Ends a flight whose page is in the cache.
    pub(crate) fn land_kept(&self, key: &PageKey, departure: Departure, page: Page) {
        self.end(key, departure, Ok(page));
    }

    fn end(&self, key: &PageKey, departure: Departure, result: PageResult) {
        self.flights().remove(key);
        departure.0.send_replace(Some(result));
    }

    /// Ends a flight without a page, unless somebody waits for it: then it is still to be flown.
    pub(crate) fn abandon(&self, key: &PageKey, departure: Departure) -> Option<Departure> {
        self.abandon_run(std::slice::from_ref(key), vec![departure])?.pop()
    }

    /// The same for pages that are fetched together: all of them are, if somebody waits for one. In one step with `claim`, so
    /// that nobody begins to wait for what is being given up.
    pub(crate) fn abandon_run(&self, keys: &[PageKey], departures: Vec<Departure>) -> Option<Vec<Departure>> {
        let mut flights = self.flights();
        if departures.iter().any(Departure::is_waited_for) {
            return Some(departures);
        }
        for key in keys {
            flights.remove(key);
        }
        None
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<PageKey, watch::Receiver<Option<PageResult>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use types::ObjectKey;

    use super::*;
    use crate::page::PageBytes;

    #[tokio::test]
    async fn a_run_is_given_up_once_nobody_waits_for_any_page_of_it_and_can_be_claimed_anew() {
        let page_bytes = PageBytes::new(PageBytes::MIN).unwrap();
        let cache = PageCache::open(16 << 20, page_bytes, None).await.unwrap();
        let keys = [0, 1].map(|index| PageKey {
            object: ObjectKey::new("left"),
            page_bytes,
            index,
        });
        let flights = Flights::default();
        let claim = |keys| {
            let claims = flights.claim(&cache, keys).into_iter().map(|claim| match claim {
                Claim::Ours(departure, arrival) => (departure, arrival),
                Claim::Here(_) | Claim::Theirs(_) => panic!("{claim:?}"),
            });
            claims.unzip::<_, _, Vec<_>, Vec<_>>()
        };
        let (departures, first) = claim(&keys);
        let second = flights.claim(&cache, &keys[1..]);
        assert!(matches!(second[..], [Claim::Theirs(_)]));
        drop(first);
        let departures = flights.abandon_run(&keys, departures);
        assert_eq!(
            departures.as_ref().map(Vec::len),
            Some(2),
            "one page is wanted, both are flown"
        );
        drop(second);
        assert!(flights.abandon_run(&keys, departures.unwrap()).is_none());
        assert_eq!(claim(&keys).0.len(), 2, "the next reader does not wait for them");
    }
}
