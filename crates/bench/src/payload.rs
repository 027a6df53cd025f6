//! The values of records: made ahead of time, so that making them is not what is measured, and half of each compressible.
//!
//! A value begins with 16 bytes that are written as it is sent: the run it belongs to, and its [`Stamp`].

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// What every value begins with.
pub const HEADER_BYTES: usize = 16;
/// Enough that a codec's window holds no value twice, and little enough for a processor's cache.
const POOL_BYTES: usize = 4 << 20;

/// The part of a run that a record belongs to, and when it was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// 0 is the warm-up.
    pub phase: u8,
    /// After the start of the run.
    pub due: Duration,
}

const DUE_BITS: u32 = 56;

impl Stamp {
    /// In one number: microseconds, and the phase above them.
    pub fn pack(self) -> u64 {
        let due_us = u64::try_from(self.due.as_micros()).unwrap_or(u64::MAX);
        (u64::from(self.phase) << DUE_BITS) | (due_us & ((1 << DUE_BITS) - 1))
    }

    /// Out of what `pack` returned.
    pub fn unpack(packed: u64) -> Self {
        Self {
            phase: (packed >> DUE_BITS) as u8,
            due: Duration::from_micros(packed & ((1 << DUE_BITS) - 1)),
        }
    }
}

/// The values of one producer, used again and again.
#[derive(Debug)]
pub struct Payloads {
    bytes: Vec<u8>,
    record_bytes: usize,
    next: usize,
}

impl Payloads {
    /// Values of `record_bytes` for the records of `run`.
    pub fn new(seed: u64, run: u64, record_bytes: usize) -> Self {
        let count = (POOL_BYTES / record_bytes).clamp(16, 4096);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bytes = vec![0; count * record_bytes];
        for value in bytes.chunks_exact_mut(record_bytes) {
            let (random, text) = value.split_at_mut(record_bytes.div_ceil(2));
            rng.fill_bytes(random);
            for (byte, letter) in text.iter_mut().zip(b"the same again and again; ".iter().cycle()) {
                *byte = *letter;
            }
            value[..8].copy_from_slice(&run.to_be_bytes());
        }
        Self {
            bytes,
            record_bytes,
            next: 0,
        }
    }

    /// The next value.
    pub fn stamped(&mut self, stamp: Stamp) -> &[u8] {
        let start = self.next;
        self.next = (start + self.record_bytes) % self.bytes.len();
        let value = &mut self.bytes[start..start + self.record_bytes];
        value[8..HEADER_BYTES].copy_from_slice(&stamp.pack().to_be_bytes());
        value
    }
}

/// The stamp of a value, if it is of `run`.
pub fn stamp_of(run: u64, value: &[u8]) -> Option<Stamp> {
    let (of_run, rest) = value.split_first_chunk::<8>()?;
    let (packed, _) = rest.split_first_chunk::<8>()?;
    (u64::from_be_bytes(*of_run) == run).then(|| Stamp::unpack(u64::from_be_bytes(*packed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_carries_the_stamp_it_was_sent_with() {
        let mut payloads = Payloads::new(1, 42, 100);
        for n in 0..10_000 {
            let stamp = Stamp {
                phase: 1,
                due: Duration::from_micros(n),
            };
            let value = payloads.stamped(stamp);
            assert_eq!((value.len(), stamp_of(42, value)), (100, Some(stamp)));
            assert_eq!(stamp_of(41, value), None);
        }
        assert_eq!(stamp_of(42, b"short"), None);
    }

    #[test]
    fn values_are_the_seeds_and_half_of_each_is_text() {
        let stamp = Stamp {
            phase: 0,
            due: Duration::ZERO,
        };
        let first = |seed| Payloads::new(seed, 0, 1024).stamped(stamp).to_vec();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        assert!(first(1)[512..].starts_with(b"the same again"));
    }
}
