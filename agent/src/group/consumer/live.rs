//! A group in the hands of its coordinator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::limits::{GROUP_PATTERN_REFRESH_MS, GROUP_TOPICS_CHECK_MS};

use super::deadlines::Deadlines;
use super::member::{Member, MemberState};
use super::partitions::Partitions;
use super::reconcile::{Aim, reconcile};
use super::report::Report;
use super::state::ConsumerGroup;
use super::{Limits, Moment, Refusal};

/// A group and its deadlines.
///
/// Whoever owns it calls a method on a copy, stores the copy's group if it differs, and only then takes the copy over
/// and answers. A copy on which a method failed is dropped.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// What is stored.
    pub group: ConsumerGroup,
    /// What is not.
    pub deadlines: Deadlines,
    /// What members said last that they use.
    pub(super) reports: BTreeMap<String, Arc<Partitions>>,
    topics_checked: Option<Instant>,
    patterns_resolved: Option<Instant>,
}

impl Live {
    /// Takes a stored group over: everybody gets a full session, and the full time for what it has to give up.
    pub fn take_over(group: ConsumerGroup, now: Instant, limits: &Limits) -> Self {
        let mut live = Self {
            group,
            ..Self::default()
        };
        for (id, member) in live.group.clone().members() {
            live.hear_from(id, member, now, limits);
            live.limit_revocation(id, member, now);
        }
        live
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Throws out whoever has missed a deadline by now; returns their ids.
    pub fn expire(&mut self, moment: &Moment<'_>) -> Vec<String> {
        let group = &self.group;
        let epoch_of = |id: &str| group.members.get(id).map(|member| member.epoch);
        let missed = self.deadlines.missed(moment.now, epoch_of);
        self.remove(&missed, moment);
        missed
    }

    /// Its session begins anew.
    pub(super) fn hear_from(&mut self, member_id: &str, member: &Member, now: Instant, limits: &Limits) {
        let timeout = match &member.classic {
            Some(classic) => millis(classic.session_timeout_ms),
            None => limits.session_timeout,
        };
        self.deadlines.of(member_id).session = Some(now + timeout);
    }

    /// Looks at topics and expressions: when `members_changed`, and now and then.
    pub(super) fn keep_up(&mut self, members_changed: bool, moment: &Moment<'_>) {
        let is_due = |last: Option<Instant>, every_ms| {
            last.is_none_or(|last| moment.now >= last + Duration::from_millis(every_ms))
        };
        let has_patterns = self.group.regexes().next().is_some();
        let mut changed = members_changed;
        if changed || (has_patterns && is_due(self.patterns_resolved, GROUP_PATTERN_REFRESH_MS)) {
            changed |= self.group.resolve_patterns(moment.topics);
            self.patterns_resolved = Some(moment.now);
        }
        if changed || is_due(self.topics_checked, GROUP_TOPICS_CHECK_MS) {
            self.group.look_at_topics(changed, moment.topics);
            self.topics_checked = Some(moment.now);
        }
        self.group.make_targets(moment.topics);
    }

    /// Brings a member a step closer to its target.
    pub(super) fn reconcile(
        &mut self,
        member_id: &str,
        subscription_changed: bool,
        report: Report<'_>,
        moment: &Moment<'_>,
    ) -> Result<(), Refusal> {
        let group = &self.group;
        let member = group.member(member_id)?;
        if !subscription_changed && member.is_reconciled_to(group.assignment_epoch) {
            return Ok(());
        }
        let step = reconcile(
            member,
            &Aim {
                epoch: group.assignment_epoch,
                target: &group.target(member_id),
                subscribed: &group.topic_ids_of(member, moment.topics),
                subscription_changed,
                report,
                taken: &|key| group.is_taken_from(member_id, key),
            },
        );
        if let Some(step) = step {
            self.limit_revocation(member_id, &step, moment.now);
            self.group.put(member_id, step);
        }
        Ok(())
    }

    /// Classic members are limited by their rejoining instead.
    fn limit_revocation(&mut self, member_id: &str, member: &Member, now: Instant) {
        let is_limited = member.state == MemberState::Revoking && member.classic.is_none();
        let at = now + millis(member.rebalance_timeout_ms);
        self.deadlines.of(member_id).revocation = is_limited.then_some((at, member.epoch));
    }
}

/// A timeout off the wire; one below zero has passed.
pub(super) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}
