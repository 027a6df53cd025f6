//! ConsumerGroupHeartbeat: joining, reporting, leaving, all in one request.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assign::Assignor;
use super::live::Live;
use super::member::{Member, Subscription};
use super::partitions::Partitions;
use super::report::Report;
use super::subscribe::Sender;
use super::{Epoch, Moment, Refusal, pattern};

/// What a member says. Everything optional is only said when it changed, or all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who it is. Never empty: whoever brings none is given one first.
    pub member_id: String,
    /// The epoch it is in, or what it is up to.
    pub epoch: Epoch,
    /// Its instance id, if it is a static member.
    pub instance_id: Option<String>,
    /// Its rack.
    pub rack_id: Option<String>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: Option<i32>,
    /// The topics it wants by name.
    pub names: Option<BTreeSet<String>>,
    /// The topics it wants by regular expression; empty: none.
    pub regex: Option<String>,
    /// The assignor it would like.
    pub assignor: Option<Assignor>,
    /// The partitions that it uses.
    pub owned: Option<Partitions>,
    /// `client.id` of the request.
    pub client_id: String,
    /// Where the request came from.
    pub client_host: String,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Who it is.
    pub member_id: String,
    /// The epoch it is in from now on.
    pub epoch: Epoch,
    /// What it may use from now on; `None`: as before.
    pub assignment: Option<Partitions>,
}

impl Heartbeat {
    /// Whether it says all there is to say, as after an answer that was lost.
    fn is_full(&self) -> bool {
        let subscribes = self.names.is_some() || self.regex.is_some();
        self.rebalance_timeout_ms.is_some() && subscribes && self.owned.is_some()
    }

    fn sender(&self) -> Sender<'_> {
        Sender {
            member_id: &self.member_id,
            instance_id: self.instance_id.as_deref(),
            is_classic: false,
        }
    }

    /// The member, as changed by what it says.
    fn applied_to(&self, member: &Member) -> Member {
        let subscription = Subscription {
            names: self.names.clone().unwrap_or_else(|| member.subscription.names.clone()),
            regex: match self.regex.as_deref() {
                Some("") => None,
                Some(regex) => Some(regex.to_owned()),
                None => member.subscription.regex.clone(),
            },
        };
        Member {
            instance_id: self.instance_id.clone().or_else(|| member.instance_id.clone()),
            rack_id: self.rack_id.clone().or_else(|| member.rack_id.clone()),
            rebalance_timeout_ms: self.rebalance_timeout_ms.unwrap_or(member.rebalance_timeout_ms),
            assignor: self.assignor.or(member.assignor),
            subscription,
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            classic: None,
            ..member.clone()
        }
    }
}

impl Live {
    /// Takes a heartbeat in. The request has passed the checks that need no group.
    pub fn heartbeat(&mut self, request: &Heartbeat, moment: &Moment<'_>) -> Result<HeartbeatAnswer, Refusal> {
        if request.epoch < Epoch::JOIN {
            return self.leave(
                &request.member_id,
                request.instance_id.as_deref(),
                request.epoch,
                moment,
            );
        }
        self.check_size(&request.member_id, moment)?;
        let before = if request.epoch == Epoch::JOIN {
            self.join(request.sender())?
        } else {
            self.group
                .joined(request.sender(), request.epoch, request.owned.as_ref())?
        };
        let updated = request.applied_to(&before);
        let changed = updated.subscription != before.subscription || self.group.epoch == Epoch::default();
        self.check_regex(&updated)?;
        let before_report = self.reports.get(&request.member_id).cloned();
        let report = Report {
            now: request.owned.as_ref(),
            before: before_report.as_deref(),
            is_full: request.is_full(),
            starts_over: request.epoch == Epoch::JOIN,
        };
        self.update(&request.member_id, updated, changed, report, moment)?;
        Ok(self.answer(request, &before))
    }

    /// The member that joins. Where it takes a static member's place, nothing is expected of the old one any more.
    pub(super) fn join(&mut self, sender: Sender<'_>) -> Result<Member, Refusal> {
        let member = self.group.joining(sender)?;
        let members = &self.group.members;
        self.deadlines.keep_only(|id| members.contains_key(id));
        self.reports.retain(|id, _| members.contains_key(id));
        Ok(member)
    }

    /// Puts a member's new self in place and brings it a step closer to its target.
    pub(super) fn update(
        &mut self,
        member_id: &str,
        updated: Member,
        subscription_changed: bool,
        report: Report<'_>,
        moment: &Moment<'_>,
    ) -> Result<(), Refusal> {
        if self.group.members.get(member_id).is_none_or(|known| **known != updated) {
            self.group.put(member_id, updated.clone());
        }
        self.keep_up(subscription_changed, moment);
        self.reconcile(member_id, subscription_changed, report, moment)?;
        if let Some(now) = report.now {
            self.reports.insert(member_id.to_owned(), Arc::new(now.clone()));
        }
        self.hear_from(member_id, &updated, moment.now, moment.limits);
        Ok(())
    }

    pub(super) fn check_size(&self, member_id: &str, moment: &Moment<'_>) -> Result<(), Refusal> {
        let max = moment.limits.members_max;
        if self.group.members.len() >= max && !self.group.members.contains_key(member_id) {
            return Err(Refusal::Full(max));
        }
        Ok(())
    }

    /// An expression that the group uses already was checked when it came.
    fn check_regex(&self, updated: &Member) -> Result<(), Refusal> {
        match updated.subscription.regex.as_deref() {
            Some(regex) if !self.group.regexes().any(|known| known == regex) => pattern::check(regex),
            Some(_) | None => Ok(()),
        }
    }

    fn answer(&self, request: &Heartbeat, before: &Member) -> HeartbeatAnswer {
        let member = &self.group.members[&request.member_id];
        let assigned = member.assigned.partitions();
        let has_changed = assigned != before.assigned.partitions();
        let tells = request.epoch == Epoch::JOIN || request.is_full() || has_changed;
        HeartbeatAnswer {
            member_id: request.member_id.clone(),
            epoch: member.epoch,
            assignment: tells.then_some(assigned),
        }
    }
}
