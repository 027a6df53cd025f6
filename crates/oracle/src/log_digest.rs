//! A partition's log in a few numbers, so that two readings of it can be compared without keeping either.

use std::ops::Range;

/// Records between two places at which two readings can be told apart.
const STRIDE: u64 = 1000;

/// What was read from offset 0 on, record by record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogDigest {
    /// What `digest` was after each `STRIDE` records.
    passed: Vec<u32>,
    digest: u32,
    records: u64,
}

impl LogDigest {
    /// Adds the record at the next offset: the producer and sequence it names, or `None` where nobody sent it there.
    pub fn add(&mut self, sender: Option<(u32, u64)>) {
        let mut name = [0xff; 12];
        if let Some((producer, sequence)) = sender {
            name[..4].copy_from_slice(&producer.to_be_bytes());
            name[4..].copy_from_slice(&sequence.to_be_bytes());
        }
        self.digest = crc32c::crc32c_append(self.digest, &name);
        self.records += 1;
        if self.records.is_multiple_of(STRIDE) {
            self.passed.push(self.digest);
        }
    }

    /// How many records were read.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Offsets of which the first that holds another record in `other` is one, or that only one of both has; `None`: they are the same.
    pub fn first_difference(&self, other: &Self) -> Option<Range<u64>> {
        if self == other {
            return None;
        }
        let same = self
            .passed
            .iter()
            .zip(&other.passed)
            .take_while(|(a, b)| a == b)
            .count() as u64;
        let end = (same + 1) * STRIDE;
        Some(same * STRIDE..end.min(self.records.max(other.records)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(senders: impl IntoIterator<Item = (u32, u64)>) -> LogDigest {
        let mut digest = LogDigest::default();
        senders.into_iter().for_each(|sender| digest.add(Some(sender)));
        digest
    }

    #[test]
    fn two_readings_of_one_log_are_the_same() {
        let read = || digest((0..2500).map(|sequence| (1, sequence)));
        assert_eq!((read().first_difference(&read()), read().records()), (None, 2500));
    }

    #[test]
    fn two_swapped_records_are_found_in_their_thousand() {
        let order = |swapped: bool| {
            (0..2500).map(move |n| match n {
                1200 if swapped => (1, 1201),
                1201 if swapped => (1, 1200),
                n => (1, n),
            })
        };
        assert_eq!(
            digest(order(false)).first_difference(&digest(order(true))),
            Some(1000..2000)
        );
    }

    #[test]
    fn a_record_that_one_reading_lacks_is_a_difference() {
        let long = digest((0..1001).map(|sequence| (1, sequence)));
        let short = digest((0..1000).map(|sequence| (1, sequence)));
        assert_eq!(long.first_difference(&short), Some(1000..1001));
        let mut unknown = short.clone();
        unknown.add(None);
        assert_eq!(long.first_difference(&unknown), Some(1000..1001));
    }
}
