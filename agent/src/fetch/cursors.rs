//! Where in an object a batch begins, for readers that stopped in the middle of an index row. Without it such a reader
//! would have to walk the row from its start again; with it he reads on where he stopped. Only a shortcut.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use types::{ObjectId, Offset};

/// Entries of one generation; two are kept. Each takes some 50 bytes.
const GENERATION_MAX: usize = 16_384;

/// The object, where the index row's bytes end in it (two partitions may stand at the same offset), and the offset.
type Key = (ObjectId, u64, Offset);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, u64>,
    old: HashMap<Key, u64>,
}

/// Byte positions of batches, by object and base offset. Bounded: the older half is forgotten when it is full.
#[derive(Debug, Default)]
pub struct Cursors(Mutex<Generations>);

impl Cursors {
    /// Where the batch that begins at `offset` lies in `object`, if a reader of the row that ends at `row_end` stopped
    /// there.
    pub fn find(&self, object: ObjectId, row_end: u64, offset: Offset) -> Option<u64> {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (object, row_end, offset);
        generations
            .young
            .get(&key)
            .or_else(|| generations.old.get(&key))
            .copied()
    }

    /// Notes that a reader stopped before the batch at `position`.
    pub fn note(&self, object: ObjectId, row_end: u64, offset: Offset, position: u64) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION_MAX {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert((object, row_end, offset), position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_is_remembered_and_memory_is_bounded() {
        let cursors = Cursors::default();
        let count = 5 * GENERATION_MAX as i64;
        for n in 0..count {
            cursors.note(ObjectId(1), 9, Offset(n), n as u64);
        }
        assert_eq!(cursors.find(ObjectId(1), 9, Offset(count - 1)), Some(count as u64 - 1));
        assert_eq!(cursors.find(ObjectId(1), 9, Offset(0)), None);
        let generations = cursors.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION_MAX);
    }
}
