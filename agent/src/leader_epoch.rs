//! The leader epoch of every partition: 0, for ever. Nothing of a partition depends on who serves it, so there is no
//! leader to be fenced; clients that know of another epoch know it from another cluster.

use std::cmp::Ordering;

/// Shown wherever Kafka shows a leader epoch.
pub const LEADER_EPOCH: i32 = 0;

/// A client's idea of the epoch is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochMismatch {
    /// The client's is older.
    Fenced,
    /// The client's is newer.
    Unknown,
}

/// Judges the `current_leader_epoch` of a request (KIP-320); a negative one says that the client knows none.
pub fn check(current: i32) -> Result<(), EpochMismatch> {
    if current < 0 {
        return Ok(());
    }
    match current.cmp(&LEADER_EPOCH) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(EpochMismatch::Fenced),
        Ordering::Greater => Err(EpochMismatch::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_knows_a_later_epoch_is_refused() {
        assert_eq!(check(-1), Ok(()));
        assert_eq!(check(LEADER_EPOCH), Ok(()));
        assert_eq!(check(LEADER_EPOCH + 1), Err(EpochMismatch::Unknown));
    }
}
