//! How `YAKS_MEMORY_MB` is divided. Pure.

use types::limits::FRAME_BYTES_MAX;

use crate::frame::RESERVE_BYTES;

const MIB: usize = 1024 * 1024;

/// Least setting: its half holds two of the largest requests, and what is kept for requests that are not Produce.
pub const MEMORY_MB_MIN: u64 = 432;

/// Least that produced data may have: two of the largest requests, or one would keep everybody else waiting.
pub const REQUEST_BYTES_MIN: usize = 2 * FRAME_BYTES_MAX;

/// What is remembered of the log (`fetch/remembered.rs`, `fetch/cursors.rs`): bounded by its number of rows.
const REMEMBERED_BYTES: usize = 16 * MIB;

/// Bytes for each of those who hold some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Requests, until their data are in S3; a reserve is kept beside it ([`RESERVE_BYTES`]).
    pub requests: usize,
    /// Answers to fetches at the tail.
    pub answers: usize,
    /// Answers to fetches of old data.
    pub cold_answers: usize,
    /// All other answers, while clients do not take them.
    pub other_answers: usize,
    /// Objects on their way into the sidecar.
    pub pushes: usize,
    /// Index rows that are searched for a time.
    pub searches: usize,
}

impl MemoryBudget {
    /// Half is for produced data, unless `inflight_bytes` says how much they get; three quarters of the rest for fetches, and of those a
    /// third for old data. The message of an error names the variables.
    pub fn split(memory_mb: u64, inflight_bytes: Option<usize>) -> Result<Self, String> {
        let all = bytes_of(memory_mb);
        let requests = inflight_bytes.unwrap_or((all / 2).saturating_sub(RESERVE_BYTES));
        let taken = requests.saturating_add(RESERVE_BYTES);
        // No less than where both are at their least.
        let rest_min = bytes_of(MEMORY_MB_MIN) / 2;
        let rest = all.checked_sub(taken).filter(|rest| *rest >= rest_min).ok_or_else(|| {
            let needed = taken.saturating_add(rest_min).div_ceil(MIB);
            format!("YAKS_MEMORY_MB={memory_mb} has no room for YAKS_INFLIGHT_BYTES={requests}: it must be {needed} at least")
        })?;
        let fetches = rest / 4 * 3;
        let others = rest - fetches - REMEMBERED_BYTES;
        Ok(Self {
            requests,
            answers: fetches - fetches / 3,
            cold_answers: fetches / 3,
            other_answers: others / 4,
            pushes: others / 2,
            searches: others / 4,
        })
    }
}

fn bytes_of(mb: u64) -> usize {
    usize::try_from(mb).unwrap_or(usize::MAX).saturating_mul(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(budget: &MemoryBudget) -> usize {
        let MemoryBudget {
            requests,
            answers,
            cold_answers,
            other_answers,
            pushes,
            searches,
        } = *budget;
        requests + RESERVE_BYTES + answers + cold_answers + other_answers + pushes + searches + REMEMBERED_BYTES
    }

    #[test]
    fn all_that_is_given_out_is_what_was_set() {
        for memory_mb in [MEMORY_MB_MIN, 768, 1001, 65_536] {
            let budget = MemoryBudget::split(memory_mb, None).unwrap();
            let all = bytes_of(memory_mb);
            assert!(sum(&budget) <= all && sum(&budget) > all - 16, "{budget:?}");
            assert!(budget.requests >= REQUEST_BYTES_MIN, "{budget:?}");
        }
    }

    #[test]
    fn bytes_in_flight_that_are_set_win_and_the_others_share_the_rest() {
        let budget = MemoryBudget::split(768, Some(256 * MIB)).unwrap();
        assert_eq!(budget.requests, 256 * MIB);
        assert_eq!((budget.answers, budget.cold_answers), (248 * MIB, 124 * MIB));
        assert!(sum(&budget) <= 768 * MIB);
    }

    #[test]
    fn bytes_in_flight_that_do_not_fit_are_refused_with_what_would_do() {
        let message = MemoryBudget::split(768, Some(600 * MIB)).unwrap_err();
        assert!(
            message.contains("YAKS_MEMORY_MB=768") && message.contains("YAKS_INFLIGHT_BYTES"),
            "{message}"
        );
        assert!(message.contains("832 at least"), "{message}");
        assert!(MemoryBudget::split(832, Some(600 * MIB)).is_ok());
    }
}
