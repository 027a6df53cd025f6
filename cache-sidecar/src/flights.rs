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
        let mut flights = self.flights();
        // One receiver is the table's own.
        if departure.0.receiver_count() > 1 {
            return Some(departure);
        }
        flights.remove(key);
        None
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<PageKey, watch::Receiver<Option<PageResult>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
