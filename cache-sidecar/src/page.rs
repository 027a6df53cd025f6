//! Byte ranges and the aligned pages that hold them. Pure.

use std::ops::Range;

use types::ByteRange;

/// Size of a page; the last page of an object is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageBytes(u32);

impl PageBytes {
    /// Below this, every page costs more in bookkeeping and requests than its bytes are worth.
    pub const MIN: u32 = 64 * 1024;

    /// One S3 request fetches at least a page, and no more than this (`origin::RUN_BYTES_MAX`).
    pub const MAX: u32 = 8 * 1024 * 1024;

    /// `None` outside the limits.
    pub fn new(bytes: u32) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&bytes).then_some(Self(bytes))
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Indexes of the pages that hold bytes of `range`.
    pub fn pages_of(self, range: ByteRange) -> Range<u64> {
        let size = u64::from(self.0);
        range.start / size..range.end.div_ceil(size)
    }

    /// The bytes of those pages in an object that goes on for ever.
    pub fn bytes_of(self, pages: &Range<u64>) -> ByteRange {
        let size = u64::from(self.0);
        ByteRange {
            start: pages.start.saturating_mul(size),
            end: pages.end.saturating_mul(size),
        }
    }

    /// How many of them one S3 request may fetch.
    pub fn pages_in(self, bytes: u64) -> u64 {
        (bytes / u64::from(self.0)).max(1)
    }

    /// The part of page `index` that lies in `range`, counted from the page's start.
    pub fn part_of(self, index: u64, range: ByteRange) -> Range<usize> {
        let page = self.bytes_of(&(index..index + 1));
        let start = range.start.clamp(page.start, page.end) - page.start;
        let end = range.end.clamp(page.start, page.end) - page.start;
        let within = |offset: u64| usize::try_from(offset).expect("an offset within a page fits");
        within(start)..within(end)
    }
}

/// Neighbours among sorted page indexes, as ranges of at most `pages_max`.
pub(crate) fn runs(indexes: &[u64], pages_max: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for &index in indexes {
        match runs.last_mut() {
            Some(run) if run.end == index && run.end - run.start < pages_max => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_its_pages_are_the_range(start in 0u64..1 << 40, len in 1u64..1 << 24, size in PageBytes::MIN..PageBytes::MAX) {
            let (size, range) = (PageBytes(size), ByteRange { start, end: start + len });
            let mut next = range.start;
            for index in size.pages_of(range) {
                let part = size.part_of(index, range);
                prop_assert!(!part.is_empty());
                prop_assert_eq!(size.bytes_of(&(index..index + 1)).start + part.start as u64, next);
                next += part.len() as u64;
            }
            prop_assert_eq!(next, range.end);
        }

        #[test]
        fn runs_are_the_same_pages_in_order(indexes in prop::collection::btree_set(0u64..60, 0..40), max in 1u64..9) {
            let indexes: Vec<u64> = indexes.into_iter().collect();
            let runs = runs(&indexes, max);
            prop_assert!(runs.iter().all(|run| run.end - run.start <= max));
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), indexes);
        }
    }
}
