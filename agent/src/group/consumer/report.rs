//! What a member says that it uses, and what that proves.
//!
//! A member takes what it was told at its own pace. One that leaves a partition out of its report has given it up, or has
//! not taken it yet; and when the answer that takes the partition away is lost, the second kind takes it after all. Kafka
//! believes both. Here a report proves that a partition is free only if the member has heard that it lost it: it used to
//! report the partition, or this request tells that the last answer arrived. A request after a lost answer is *full*.

use super::partitions::{Key, Partitions};

/// What a member says that it uses, beside what it said before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    /// What it says; `None`: what it said before.
    pub now: Option<&'a Partitions>,
    /// What it said before; `None`: not known to this coordinator.
    pub before: Option<&'a Partitions>,
    /// The last answer may not have arrived.
    pub is_full: bool,
    /// It forgets all that it was told, and uses nothing but what it says.
    pub starts_over: bool,
}

impl Report<'_> {
    /// Whether the member may use, or come to use, a partition that an earlier answer took from it.
    pub(super) fn may_use(&self, key: &Key) -> bool {
        let reported_before = self.before.map(|before| before.contains(key));
        match self.now {
            Some(now) if now.contains(key) => true,
            Some(_) if self.is_full && !self.starts_over => reported_before != Some(true),
            Some(_) => false,
            None => reported_before.unwrap_or(true),
        }
    }

    /// Likewise, a partition that no answer has taken from it yet.
    pub(super) fn may_take(&self, key: &Key) -> bool {
        !self.starts_over || self.may_use(key)
    }
}

#[cfg(test)]
mod tests {
    use types::{PartitionIndex, TopicId};
    use uuid::Uuid;

    use super::*;

    const KEY: Key = (TopicId(Uuid::nil()), PartitionIndex(0));

    fn may_use(now: Option<bool>, before: Option<bool>, is_full: bool, starts_over: bool) -> bool {
        let set = |has: bool| has.then_some(KEY).into_iter().collect::<Partitions>();
        let (now, before) = (now.map(set), before.map(set));
        Report {
            now: now.as_ref(),
            before: before.as_ref(),
            is_full,
            starts_over,
        }
        .may_use(&KEY)
    }

    #[test]
    fn a_report_after_a_lost_answer_frees_only_what_was_reported_before() {
        assert!(!may_use(Some(false), Some(true), true, false));
        assert!(may_use(Some(false), Some(false), true, false));
        assert!(may_use(Some(false), None, true, false));
    }

    #[test]
    fn after_an_answer_that_arrived_members_are_believed() {
        assert!(!may_use(Some(false), None, false, false));
        assert!(!may_use(None, Some(false), false, false));
        assert!(may_use(None, None, false, false) && may_use(None, Some(true), false, false));
        assert!(may_use(Some(true), None, false, false));
    }

    #[test]
    fn one_that_starts_over_uses_what_it_says() {
        assert!(!may_use(Some(false), None, true, true));
        assert!(may_use(Some(true), None, true, true));
    }
}
