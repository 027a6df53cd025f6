use std::collections::BTreeSet;

use bytes::Bytes;
use types::PartitionIndex;

use super::super::classic::ClassicProtocol;
use super::super::embedded;
use super::super::partitions::{Held, Partitions};
use super::clients::{Client, Style, subscription};
use super::*;

fn modern(id: &str) -> Client {
    Client::new(id, Style::Modern, &["t"])
}

fn is_static(mut client: Client, instance: &str) -> Client {
    client.instance = Some(instance.to_owned());
    client
}

/// A coordinator of a group that reads topic `t` of four partitions, and members that have all that is theirs.
fn settled(clients: &mut [Client]) -> Coordinator {
    let mut coordinator = Coordinator::new(World::of(&[("t", 4)]));
    settle(&mut coordinator, clients);
    coordinator
}

fn settle(coordinator: &mut Coordinator, clients: &mut [Client]) {
    for _ in 0..6 {
        for client in &mut *clients {
            client.talk(coordinator, false).unwrap();
            client.take();
        }
    }
    assert_eq!(coordinator.live.group.state(), GroupState::Stable);
}

#[test]
fn a_member_joins_gets_everything_and_shares_it_with_the_next() {
    let (mut a, mut b) = (modern("a"), modern("b"));
    let mut coordinator = settled(std::slice::from_mut(&mut a));
    assert_eq!((a.epoch, a.uses.len()), (Epoch(1), 4));

    b.talk(&mut coordinator, false).unwrap();
    assert_eq!((b.epoch, b.told.len()), (Epoch(2), 0), "it waits for what a has");
    assert_eq!(coordinator.live.group.state(), GroupState::Reconciling);
    a.talk(&mut coordinator, false).unwrap();
    assert_eq!((a.epoch, a.told.len()), (Epoch(1), 2), "a is to give two up first");
    b.talk(&mut coordinator, false).unwrap();
    assert_eq!(b.told.len(), 0);
    a.revoke();
    a.talk(&mut coordinator, false).unwrap();
    b.talk(&mut coordinator, false).unwrap();
    assert_eq!((a.epoch, b.epoch, b.told.len()), (Epoch(2), Epoch(2), 2));
    assert_eq!(coordinator.live.group.state(), GroupState::Stable);
}

#[test]
fn only_the_epochs_that_a_member_may_be_in_are_taken() {
    let mut clients = [modern("a"), modern("b")];
    let mut coordinator = settled(&mut clients);
    let [a, _] = &clients;
    let ask = |id: &str, epoch, owned: Option<&[i32]>| Heartbeat {
        member_id: id.to_owned(),
        epoch: Epoch(epoch),
        owned: owned.map(|owned| {
            let id = TopicId(Uuid::from_u128(1));
            owned.iter().map(|index| (id, PartitionIndex(*index))).collect()
        }),
        ..Heartbeat::default()
    };
    let unknown = Err(Refusal::UnknownMember("c".to_owned()));
    assert_eq!(coordinator.heartbeat(&ask("c", 2, None)), unknown);
    assert_eq!(a.epoch, Epoch(2));
    let fenced = |received| {
        Err(Refusal::FencedEpoch {
            received: Epoch(received),
            known: Epoch(2),
        })
    };
    assert_eq!(coordinator.heartbeat(&ask("a", 3, None)), fenced(3));
    assert_eq!(
        coordinator.heartbeat(&ask("a", 1, None)),
        fenced(1),
        "it may use what it lost"
    );
    assert_eq!(coordinator.heartbeat(&ask("a", 1, Some(&[0, 1, 2, 3]))), fenced(1));
    let mut late = clients[0].request();
    (late.epoch, late.owned) = (Epoch(1), Some(Partitions::default()));
    // Its previous epoch is 1: it gave up first, in epoch 1.
    assert_eq!(coordinator.heartbeat(&late).map(|answer| answer.epoch), Ok(Epoch(2)));
    assert!(
        coordinator.heartbeat(&ask("a", 0, Some(&[]))).is_ok(),
        "a fenced member joins again"
    );
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let mut clients = [modern("a"), modern("b")];
    let mut coordinator = settled(&mut clients);
    coordinator.pass(Duration::from_secs(40));
    clients[0].talk(&mut coordinator, false).unwrap();
    assert_eq!(coordinator.pass(Duration::from_secs(5)), ["b"]);
    settle(&mut coordinator, &mut clients[..1]);
    assert_eq!(clients[0].uses.len(), 4);
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_out() {
    let (mut a, mut b) = (modern("a"), modern("b"));
    let mut coordinator = settled(std::slice::from_mut(&mut a));
    b.talk(&mut coordinator, false).unwrap();
    for _ in 0..6 {
        // It reports all the time that it still uses everything.
        a.talk(&mut coordinator, false).unwrap();
        assert!(coordinator.pass(Duration::from_secs(5)).len() < 2);
        b.talk(&mut coordinator, false).unwrap();
    }
    assert!(a.talk(&mut coordinator, false).is_err());
    b.talk(&mut coordinator, false).unwrap();
    assert_eq!(b.told.len(), 4);
}

#[test]
fn a_topic_that_grows_or_comes_into_being_starts_a_new_epoch() {
    let mut a = modern("a");
    a.names.insert("later".to_owned());
    let mut coordinator = settled(std::slice::from_mut(&mut a));
    let before = coordinator.live.group.epoch();
    coordinator.world.0.get_mut("t").unwrap().partition_count = 6;
    coordinator.world.create("later", 1);
    coordinator.pass(Duration::from_secs(5));
    settle(&mut coordinator, std::slice::from_mut(&mut a));
    assert_eq!((coordinator.live.group.epoch(), a.uses.len()), (before.next(), 7));
    coordinator.pass(Duration::from_secs(5));
    settle(&mut coordinator, std::slice::from_mut(&mut a));
    assert_eq!(coordinator.live.group.epoch(), before.next(), "nothing changed since");
}

#[test]
fn a_topic_that_comes_to_match_is_read() {
    let mut a = modern("a");
    a.subscribe(&[], Some("t.*"));
    let mut coordinator = settled(std::slice::from_mut(&mut a));
    coordinator.world.create("t2", 3);
    coordinator.world.create("u", 3);
    coordinator.pass(Duration::from_secs(11));
    settle(&mut coordinator, std::slice::from_mut(&mut a));
    assert_eq!(a.uses.len(), 7);
    a.subscribe(&[], Some("("));
    assert!(matches!(
        a.talk(&mut coordinator, false),
        Err(Refusal::InvalidRegularExpression { .. })
    ));
}

#[test]
fn a_static_member_that_comes_back_in_time_keeps_what_it_had() {
    let mut clients = [is_static(modern("a"), "i"), modern("b")];
    let mut coordinator = settled(&mut clients);
    let before = coordinator.live.group.epoch();
    let mut back = is_static(modern("a2"), "i");
    let in_use = Err(Refusal::UnreleasedInstance("i".to_owned()));
    assert_eq!(back.talk(&mut coordinator, true), in_use);

    let leave = Heartbeat {
        member_id: "a".to_owned(),
        epoch: Epoch::LEAVE_STATIC,
        instance_id: Some("i".to_owned()),
        ..Heartbeat::default()
    };
    assert_eq!(coordinator.heartbeat(&leave).unwrap().epoch, Epoch::LEAVE_STATIC);
    coordinator.pass(Duration::from_secs(44));
    clients[1].talk(&mut coordinator, false).unwrap();
    assert_eq!(clients[1].told.len(), 2, "its place is kept");
    back.start_over();
    back.talk(&mut coordinator, false).unwrap();
    back.take();
    assert_eq!(back.uses, clients[0].uses);
    assert_eq!(coordinator.live.group.epoch(), before);
    let fenced = Err(Refusal::FencedInstance("i".to_owned()));
    assert_eq!(clients[0].talk(&mut coordinator, false), fenced);
    assert_eq!(coordinator.pass(Duration::from_secs(2)), [""; 0]);
}

#[test]
fn a_full_group_takes_nobody_but_its_members() {
    let mut clients = [modern("a"), modern("b")];
    let mut coordinator = settled(&mut clients);
    coordinator.limits.members_max = 2;
    assert_eq!(modern("c").talk(&mut coordinator, false), Err(Refusal::Full(2)));
    assert_eq!(clients[0].talk(&mut coordinator, false), Ok(()));
}

#[test]
fn the_assignor_that_most_members_like_is_used() {
    let mut clients = [modern("a"), modern("b"), modern("c")];
    for client in &mut clients[..2] {
        client.assignor = Some(assign::Assignor::Range);
    }
    let coordinator = settled(&mut clients);
    assert_eq!(coordinator.live.group.assignor(), assign::Assignor::Range);
    assert_eq!(ConsumerGroup::default().assignor(), assign::Assignor::Uniform);
}

#[test]
fn offsets_are_taken_from_members_in_their_epoch_only() {
    let mut clients = [modern("a"), modern("b")];
    let coordinator = settled(&mut clients);
    let group = &coordinator.live.group;
    let stale = |received| {
        Err(Refusal::StaleEpoch {
            received: Epoch(received),
            known: Epoch(2),
        })
    };
    assert_eq!(group.check_commit("a", Epoch(2)), Ok(()));
    assert_eq!(group.check_commit("a", Epoch(1)), stale(1));
    assert_eq!(group.check_commit("a", Epoch(3)), stale(3));
    let unknown = Err(Refusal::UnknownMember(String::new()));
    assert_eq!(group.check_commit("", Epoch(-1)), unknown);
    assert_eq!(ConsumerGroup::default().check_commit("", Epoch(-1)), Ok(()));
    assert_eq!(group.check_fetch("", Epoch(-1)), Ok(()));
    assert_eq!(group.check_fetch("a", Epoch(2)), Ok(()));
    assert_eq!(group.check_fetch("a", Epoch(1)), stale(1));
    assert!(group.check_fetch("c", Epoch(2)).is_err());
}

fn classic_group(world: &World) -> ClassicGroupShape {
    let topic = world.by_name("t").unwrap().id;
    let names = BTreeSet::from(["t".to_owned()]);
    let protocol = ClassicProtocol {
        name: "range".to_owned(),
        metadata: subscription(&names, &Partitions::default(), world),
    };
    let member = |indexes: [i32; 2]| {
        let assigned = indexes
            .map(|index| (topic, PartitionIndex(index)))
            .into_iter()
            .collect();
        ClassicMemberShape {
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 60_000,
            protocols: vec![protocol.clone()],
            assignment: embedded::write_assignment(&assigned, &protocol.metadata, world),
            ..ClassicMemberShape::default()
        }
    };
    ClassicGroupShape {
        generation: 7,
        protocol: Some("range".to_owned()),
        members: [("c1", member([0, 1])), ("c2", member([2, 3]))]
            .map(|(id, member)| (id.to_owned(), member))
            .into(),
    }
}

#[test]
fn a_classic_group_is_taken_over_and_given_back_while_its_members_read() {
    let mut coordinator = Coordinator::new(World::of(&[("t", 4)]));
    let shape = classic_group(&coordinator.world);
    let taken: Result<_, Refusal> = coordinator.call(|live, moment| {
        *live = Live::take_over(ConsumerGroup::from_classic(&shape, moment)?, moment.now, moment.limits);
        Ok(())
    });
    taken.unwrap();
    let group = &coordinator.live.group;
    assert_eq!((group.epoch(), group.state()), (Epoch(7), GroupState::Stable));
    assert!(group.is_classic_again());

    let mut clients = [
        Client::new("c1", Style::Cooperative, &["t"]),
        Client::new("c2", Style::Eager, &["t"]),
        modern("m"),
    ];
    for classic in &mut clients[..2] {
        classic.epoch = Epoch(7);
        classic.uses = group.target(&classic.id).iter().collect();
    }
    settle(&mut coordinator, &mut clients);
    let mut sizes = clients.each_ref().map(|client| client.uses.len());
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 2]);
    assert!(!coordinator.live.group.is_classic_again());

    let leave = Heartbeat {
        epoch: Epoch::LEAVE,
        ..clients[2].request()
    };
    coordinator.heartbeat(&leave).unwrap();
    assert!(coordinator.live.group.is_classic_again());
    let moment = Moment {
        now: coordinator.now,
        topics: &coordinator.world,
        limits: &coordinator.limits,
    };
    let back = coordinator.live.group.to_classic(&moment);
    assert_eq!((back.protocol.as_deref(), back.members.len()), (Some("range"), 2));
    assert!(back.generation > 7);
    let assigned = embedded::assignment(&back.members["c1"].assignment).unwrap();
    assert_eq!(
        embedded::by_id(&assigned.partitions, &coordinator.world),
        coordinator.live.group.target("c1")
    );
}

#[test]
fn a_classic_group_that_is_no_consumers_stays_one() {
    let coordinator = Coordinator::new(World::of(&[("t", 4)]));
    let moment = Moment {
        now: coordinator.now,
        topics: &coordinator.world,
        limits: &coordinator.limits,
    };
    let mut shape = classic_group(&coordinator.world);
    shape.members.get_mut("c1").unwrap().assignment = Bytes::from_static(&[0, 1, 0x7f, 0, 0, 0]);
    assert!(matches!(
        ConsumerGroup::from_classic(&shape, &moment),
        Err(Refusal::NoSuchGroup(_))
    ));
    let mut shape = classic_group(&coordinator.world);
    shape.members.get_mut("c1").unwrap().assignment = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
    assert!(
        ConsumerGroup::from_classic(&shape, &moment).is_ok(),
        "range needs no such data"
    );
    shape.protocol = Some("stream".to_owned());
    assert!(matches!(
        ConsumerGroup::from_classic(&shape, &moment),
        Err(Refusal::NoSuchGroup(_))
    ));
}

#[test]
fn classic_members_without_a_common_protocol_do_not_meet() {
    let mut clients = [Client::new("c1", Style::Eager, &["t"]), modern("m")];
    let mut coordinator = settled(&mut clients);
    let mut join = Client::new("c2", Style::Eager, &["t"]).join(&coordinator.world);
    join.protocols[0].name = "roundrobin".to_owned();
    let refused = coordinator.call(|live, moment| live.join_classic(&join, moment));
    assert_eq!(refused, Err(Refusal::InconsistentProtocol));
    join.protocols[0].name = "range".to_owned();
    join.needs_known_id = true;
    let refused = coordinator.call(|live, moment| live.join_classic(&join, moment));
    assert_eq!(refused, Err(Refusal::MemberIdRequired));
}

#[test]
fn the_stored_form_of_version_1_is_still_read() {
    let golden = include_str!("golden/v1.json");
    let group = ConsumerGroup::from_bytes(golden.as_bytes()).unwrap();
    let key = (TopicId(Uuid::from_u128(1)), PartitionIndex(3));
    let member = group.member("m").unwrap();
    assert_eq!(
        (group.epoch, group.assignment_epoch, group.topics_seen),
        (Epoch(4), Epoch(3), 5)
    );
    assert_eq!(
        (member.epoch, member.previous_epoch, member.state),
        (Epoch(3), Epoch(2), MemberState::Revoking)
    );
    assert_eq!(member.revoking, Held::since(Epoch(2), &[key].into_iter().collect()));
    assert_eq!(
        member.classic.as_ref().unwrap().protocols[0].metadata,
        Bytes::from_static(b"\0\x01")
    );
    assert!(group.target("m").contains(&(key.0, PartitionIndex(0))));
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(json(&group.to_bytes()), json(golden.as_bytes()));
    let newer = golden.replacen("\"version\": 1", "\"version\": 2", 1);
    assert!(ConsumerGroup::from_bytes(newer.as_bytes()).is_err());
}
