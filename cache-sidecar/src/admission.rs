//! Which pages are worth a place on the disk: pure.
//!
//! The disk evicts its oldest pages, so whoever writes to it flushes it. While it has room everything is written. After that a
//! page has to be asked for a second time before about as many other pages as the disk holds: a scan asks for each page once and
//! leaves the disk as it is. What agents push will be read, and is always written.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Decides about pages by the hashes of their keys.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Above this the disk counts as full: it begins to evict before it is, to have blocks to write to.
    room_bytes: u64,
    /// Bytes on the disk when it was opened.
    used_bytes: u64,
    pages_max: usize,
    turned_away: Mutex<TurnedAway>,
}

/// Pages seen lately that are not on the disk, oldest first.
#[derive(Debug, Default)]
struct TurnedAway {
    order: VecDeque<u64>,
    pages: HashSet<u64>,
}

impl Admission {
    pub(crate) fn new(disk_bytes: u64, used_bytes: u64, page_bytes: u64) -> Self {
        Self {
            room_bytes: disk_bytes / 4 * 3,
            used_bytes,
            pages_max: usize::try_from(disk_bytes / page_bytes).unwrap_or(usize::MAX).max(16),
            turned_away: Mutex::default(),
        }
    }

    /// Lets the page in when it comes.
    pub(crate) fn expect(&self, page: u64) {
        self.remember(page);
    }

    /// Whether to write the page; `written_bytes`: how much was written since the disk was opened.
    pub(crate) fn admits(&self, page: u64, written_bytes: u64) -> bool {
        // A page that is taken out of the set stays in the order: it is forgotten a little sooner the next time.
        if self.turned_away().pages.remove(&page) || self.used_bytes + written_bytes < self.room_bytes {
            return true;
        }
        self.remember(page);
        false
    }

    fn remember(&self, page: u64) {
        let mut turned_away = self.turned_away();
        if turned_away.pages.insert(page) {
            turned_away.order.push_back(page);
        }
        while turned_away.order.len() > self.pages_max {
            let oldest = turned_away.order.pop_front().expect("it is longer than zero");
            turned_away.pages.remove(&oldest);
        }
    }

    fn turned_away(&self) -> MutexGuard<'_, TurnedAway> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_written_while_there_is_room_then_what_is_asked_for_twice_or_pushed() {
        let admission = Admission::new(1000, 500, 10);
        assert!(admission.admits(1, 0) && admission.admits(2, 249));
        assert!(!admission.admits(3, 250));
        assert!(admission.admits(3, 250), "the second time");
        assert!(!admission.admits(3, 250), "and not for ever");
        admission.expect(4);
        assert!(admission.admits(4, 250));
    }

    #[test]
    fn a_scan_longer_than_the_disk_is_not_written_however_often_it_comes() {
        let admission = Admission::new(1000, 1000, 10);
        for _ in 0..3 {
            assert_eq!((0..101).filter(|page| admission.admits(*page, 0)).count(), 0);
        }
        assert!(admission.turned_away().pages.len() <= 100);
    }
}
