//! Groups change their kind, while members go on reading (KIP-848, "Online Migration"; Kafka's policy `bidirectional`).

use metastore::{GroupKind, GroupState};

use super::ask::{Ask, GroupError, Outbox};
use super::classic::ClassicGroup;
use super::consumer::{ConsumerGroup, Coordinated, Epoch, Heartbeat, Limits, Moment as ConsumerMoment, Refusal};
use super::kind::{Group, Moment};

/// The group of the other kind that has to take this request: a group without members becomes what its first member
/// speaks, and a classic group is taken over by its first member of the new protocol, if that is let in. `None`: the group as
/// it is.
pub(super) fn before(
    group: &mut Group,
    ask: &Ask,
    moment: Moment<'_>,
    out: &mut Outbox,
) -> Result<Option<Group>, GroupError> {
    match (group, ask) {
        (Group::Classic(classic), Ask::ConsumerHeartbeat(heartbeat)) if heartbeat.epoch == Epoch::JOIN => {
            up(classic, heartbeat, moment, out).map(|group| Some(Group::Consumer(group)))
        }
        (Group::Consumer(consumer), Ask::Join(_)) if consumer.is_idle() => {
            // Generations go on, so that no commit of before is taken for one of now.
            let state = GroupState {
                generation: consumer.group().epoch().0,
                ..GroupState::empty(GroupKind::Classic)
            };
            Ok(ClassicGroup::load(&state, moment.now).ok().map(Group::Classic))
        }
        _ => Ok(None),
    }
}

/// The classic group that is left when the last member of the new protocol is gone. Its members are told to rejoin.
pub(super) fn down(group: &Coordinated, moment: Moment<'_>, out: &mut Outbox) -> Option<ClassicGroup> {
    if !group.group().is_classic_again() {
        return None;
    }
    let limits = Limits::default();
    let shape = group.group().to_classic(&consumer_moment(moment, &limits));
    tracing::info!(
        members = shape.members.len(),
        "consumer group goes back to the classic protocol"
    );
    Some(ClassicGroup::from_shape(shape, moment, out))
}

fn up(
    classic: &mut ClassicGroup,
    heartbeat: &Heartbeat,
    moment: Moment<'_>,
    out: &mut Outbox,
) -> Result<Coordinated, GroupError> {
    let group = if classic.is_idle() {
        ConsumerGroup::after(Epoch(classic.generation()))
    } else {
        let shape = classic
            .shape()
            .ok_or(Refusal::NoSuchGroup("the group is no group of consumers"))?;
        ConsumerGroup::from_classic(&shape, &consumer_moment(moment, &Limits::default()))?
    };
    let taken_over = Coordinated::new(group, moment.now);
    // A member that is refused changes nothing for those who are there.
    taken_over.clone().heartbeat(heartbeat.clone(), moment)?;
    classic.send_back(out);
    tracing::info!("classic group is taken over by the consumer protocol");
    Ok(taken_over)
}

fn consumer_moment<'a>(moment: Moment<'a>, limits: &'a Limits) -> ConsumerMoment<'a> {
    ConsumerMoment {
        now: moment.now,
        topics: moment.topics,
        limits,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::Instant;
    use types::{PartitionIndex, SeededEntropy, TopicId};
    use uuid::Uuid;

    use super::*;
    use crate::group::ask::{Identity, JoinAsk, MemberAsk, Protocol, SyncAsk, Ticket, Told};
    use crate::group::consumer::partitions::Partitions;
    use crate::group::consumer::{TopicShape, Topics, embedded};
    use crate::group::limits::GroupLimits;

    const TOPIC: TopicShape = TopicShape {
        id: TopicId(Uuid::from_u128(1)),
        partition_count: 4,
    };

    /// One topic, `t`.
    #[derive(Debug)]
    struct OneTopic;

    impl Topics for OneTopic {
        fn by_name(&self, name: &str) -> Option<TopicShape> {
            (name == "t").then_some(TOPIC)
        }

        fn name_of(&self, id: TopicId) -> Option<String> {
            (id == TOPIC.id).then(|| "t".to_owned())
        }

        fn names(&self) -> Vec<&str> {
            vec!["t"]
        }
    }

    struct Bench {
        group: Group,
        now: Instant,
        limits: GroupLimits,
        entropy: SeededEntropy,
    }

    impl Bench {
        /// A classic group whose one member, `old`, has all four partitions.
        fn new(protocol_type: &str) -> Self {
            let now = Instant::now();
            let mut bench = Self {
                group: Group::load(&GroupState::empty(GroupKind::Classic), now).unwrap(),
                now,
                limits: GroupLimits {
                    session_min: Duration::ZERO,
                    session_max: Duration::from_secs(60),
                    initial_rebalance_delay: Duration::ZERO,
                    members_max: 10,
                },
                entropy: SeededEntropy::new(1),
            };
            // Version 1, topic `t`, no data, nothing owned.
            let metadata = Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0");
            let join = JoinAsk {
                member: old(),
                client_id: String::new(),
                client_host: String::new(),
                protocol_type: protocol_type.to_owned(),
                protocols: vec![Protocol {
                    name: "range".to_owned(),
                    metadata: metadata.clone(),
                }],
                session_timeout: Duration::from_secs(45),
                rebalance_timeout: Duration::from_secs(60),
                requires_known_id: false,
                can_skip_assignment: false,
            };
            let mut joined = bench.ask(Ask::Join(join));
            joined.append(&mut bench.tick());
            let Some(Ok(Told::Joined(joined))) = joined.pop() else {
                panic!("{joined:?}")
            };
            let all: Partitions = (0..4).map(|index| (TOPIC.id, PartitionIndex(index))).collect();
            let assignment = embedded::write_assignment(&all, &metadata, &OneTopic);
            let sync = SyncAsk {
                member: Identity {
                    member_id: joined.member_id.clone(),
                    ..old()
                },
                generation: joined.generation,
                protocol_type: None,
                protocol_name: None,
                assignments: BTreeMap::from([(joined.member_id, assignment)]),
            };
            assert!(matches!(bench.ask(Ask::Sync(sync))[..], [Ok(Told::Synced(_))]));
            bench
        }

        fn run(&mut self, run: impl FnOnce(&mut Group, Moment<'_>, &mut Outbox)) -> Vec<Result<Told, GroupError>> {
            let mut out = Outbox::default();
            let moment = Moment {
                now: self.now,
                limits: &self.limits,
                entropy: &self.entropy,
                topics: &OneTopic,
            };
            run(&mut self.group, moment, &mut out);
            out.take().into_iter().map(|(_, told)| told).collect()
        }

        fn ask(&mut self, ask: Ask) -> Vec<Result<Told, GroupError>> {
            self.run(|group, moment, out| group.handle(ask, Ticket(1), moment, out))
        }

        fn tick(&mut self) -> Vec<Result<Told, GroupError>> {
            self.now += Duration::from_secs(1);
            self.run(|group, moment, out| group.tick(moment, out))
        }

        fn kind(&self) -> GroupKind {
            self.group.state().kind
        }
    }

    fn old() -> Identity {
        Identity {
            member_id: String::new(),
            instance_id: Some("old".to_owned()),
        }
    }

    fn heartbeat(epoch: Epoch) -> Ask {
        Ask::ConsumerHeartbeat(Box::new(Heartbeat {
            member_id: "new".to_owned(),
            epoch,
            rebalance_timeout_ms: Some(60_000),
            names: Some(["t".to_owned()].into()),
            owned: Some(Partitions::default()),
            ..Heartbeat::default()
        }))
    }

    #[test]
    fn a_classic_group_changes_with_its_first_member_of_the_new_protocol_and_back_with_its_last() {
        let mut bench = Bench::new("consumer");
        assert!(bench.group.take_changed());
        let told = bench.ask(heartbeat(Epoch::JOIN));
        let [Ok(Told::Heard(heard))] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(
            heard.assignment,
            Some(Partitions::default()),
            "the other member has all"
        );
        assert_eq!((bench.kind(), bench.group.take_changed()), (GroupKind::Consumer, true));
        let generation = bench.group.state().generation;
        let Group::Consumer(group) = &bench.group else {
            unreachable!()
        };
        let (member_id, member) = group.group().members().find(|(id, _)| *id != "new").unwrap();
        let alive = Ask::Heartbeat(MemberAsk {
            member: Identity {
                member_id: member_id.to_owned(),
                ..old()
            },
            generation: member.epoch.0,
        });
        assert_eq!(bench.ask(alive), [Err(GroupError::Rebalancing)]);

        assert!(matches!(bench.ask(heartbeat(Epoch::LEAVE))[..], [Ok(Told::Heard(_))]));
        assert_eq!((bench.kind(), bench.group.take_changed()), (GroupKind::Classic, true));
        let state = bench.group.state();
        assert_eq!((state.state.as_str(), state.member_count), ("PreparingRebalance", 1));
        assert!(state.generation > generation);
    }

    #[test]
    fn a_group_that_is_not_of_consumers_refuses_the_new_protocol_and_is_not_disturbed() {
        let mut bench = Bench::new("connect");
        let before = bench.group.state();
        let told = bench.ask(heartbeat(Epoch::JOIN));
        assert!(
            matches!(told[..], [Err(GroupError::Refused(Refusal::NoSuchGroup(_)))]),
            "{told:?}"
        );
        assert_eq!(bench.ask(heartbeat(Epoch(3))), [Err(GroupError::NotFound)]);
        assert_eq!(bench.group.state(), before);
    }

    #[test]
    fn a_group_without_members_becomes_what_its_first_member_speaks() {
        let mut bench = Bench::new("consumer");
        bench.group = Group::load(&GroupState::empty(GroupKind::Classic), bench.now).unwrap();
        bench.ask(heartbeat(Epoch::JOIN));
        bench.ask(heartbeat(Epoch::LEAVE));
        assert_eq!(bench.kind(), GroupKind::Consumer);
        let commit = |generation| {
            Ask::Commit(MemberAsk {
                generation,
                ..MemberAsk::default()
            })
        };
        assert!(matches!(bench.ask(commit(-1))[..], [Ok(Told::MayCommit { .. })]));
        let generation = bench.group.state().generation;
        let join = JoinAsk {
            member: old(),
            client_id: String::new(),
            client_host: String::new(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol {
                name: "range".to_owned(),
                metadata: Bytes::new(),
            }],
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            requires_known_id: false,
            can_skip_assignment: false,
        };
        bench.ask(Ask::Join(join));
        bench.tick();
        assert_eq!(bench.kind(), GroupKind::Classic);
        assert!(bench.group.state().generation > generation);
    }
}
