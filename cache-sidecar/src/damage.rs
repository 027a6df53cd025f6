//! Damaged pages: counted where they are seen, once for each damaged copy.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::PageKey;
use crate::metrics;

/// Damaged copies remembered. Beyond that all are forgotten; whoever is just reading one of them may count it a second time.
const SEEN_MAX: usize = 4096;

/// Copies that were counted, by the hashes of their keys, until their pages are kept anew: several readers may see the same one.
#[derive(Debug, Default)]
pub(crate) struct Damage(Mutex<HashSet<u64>>);

impl Damage {
    /// A reader has seen that the copy is damaged.
    pub(crate) fn seen(&self, key: &PageKey, hash: u64) {
        if self.is_first(hash) {
            tracing::warn!(object.key = %key.object, page.index = key.index, "page is damaged and dropped");
            metrics::count_damaged_page();
        }
    }

    /// The page is kept anew: what is damaged from now on is another copy.
    pub(crate) fn kept_anew(&self, hash: u64) {
        self.copies().remove(&hash);
    }

    /// Whether nobody has seen this copy yet.
    pub(crate) fn is_first(&self, hash: u64) -> bool {
        let mut copies = self.copies();
        if copies.len() >= SEEN_MAX {
            copies.clear();
        }
        copies.insert(hash)
    }

    fn copies(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_counts_for_its_first_reader_and_the_next_copy_again_within_a_bound() {
        let damage = Damage::default();
        assert!(damage.is_first(1) && !damage.is_first(1));
        damage.kept_anew(1);
        assert!(damage.is_first(1));
        for hash in 0..3 * SEEN_MAX as u64 {
            damage.is_first(hash);
        }
        assert!(damage.copies().len() <= SEEN_MAX);
    }
}
