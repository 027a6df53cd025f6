//! What the states and waits of a classic group are to be, one claim each. `random` plays whole histories.

mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use metastore::{GroupKind, GroupState};
use tokio::time::Instant;
use types::SeededEntropy;

use super::ClassicGroup;
use crate::group::ask::{
    Ask, GroupError, Identity, JoinAsk, Joined, MemberAsk, Outbox, Protocol, SyncAsk, Ticket, Told,
};
use crate::group::consumer::NoTopics;
use crate::group::kind::Moment;
use crate::group::limits::GroupLimits;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_secs(3);

type Answer = Result<Told, GroupError>;

/// A group, its time, and the answers that have come.
pub(super) struct Bench {
    group: ClassicGroup,
    now: Instant,
    limits: GroupLimits,
    entropy: SeededEntropy,
    tickets: u64,
    waiting: BTreeSet<Ticket>,
    answers: BTreeMap<Ticket, Answer>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let group = ClassicGroup::load(&GroupState::empty(GroupKind::Classic), now).unwrap();
        let limits = GroupLimits {
            session_min: Duration::from_secs(6),
            session_max: Duration::from_secs(1800),
            initial_rebalance_delay: DELAY,
            members_max: 100,
        };
        Self {
            group,
            now,
            limits,
            entropy: SeededEntropy::new(7),
            tickets: 0,
            waiting: BTreeSet::new(),
            answers: BTreeMap::new(),
        }
    }

    fn with(&mut self, call: impl FnOnce(&mut ClassicGroup, Moment<'_>, &mut Outbox)) {
        let mut out = Outbox::default();
        let moment = Moment {
            now: self.now,
            limits: &self.limits,
            entropy: &self.entropy,
            topics: &NoTopics,
        };
        call(&mut self.group, moment, &mut out);
        for (ticket, answer) in out.take() {
            assert!(self.waiting.remove(&ticket), "{ticket:?} is answered twice");
            assert!(
                self.answers.insert(ticket, answer).is_none(),
                "{ticket:?} is answered twice"
            );
        }
    }

    fn ask(&mut self, ask: Ask) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket);
        self.with(|group, moment, out| {
            group.handle(ask, ticket, moment, out);
            group.tick(moment, out);
        });
        ticket
    }

    /// Lets time pass, with a look at the group whenever it wants one.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.group.next_deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.with(ClassicGroup::tick);
        }
        self.now = end;
    }

    fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket)
    }

    fn now(&mut self, ask: Ask) -> Answer {
        let ticket = self.ask(ask);
        self.answer(ticket).expect("it is answered at once")
    }

    /// What the owner does when it lets the group go.
    fn abandon(&mut self) {
        for ticket in std::mem::take(&mut self.waiting) {
            self.answers.insert(ticket, Err(GroupError::NotCoordinator));
        }
    }

    /// What another coordinator finds.
    fn take_over(&mut self) {
        self.abandon();
        self.group = ClassicGroup::load(&self.group.state(), self.now).unwrap();
    }

    /// Joins as a client does, with the id that it is given.
    fn join(&mut self, name: &str) -> (String, Ticket) {
        let Err(GroupError::MemberIdRequired(id)) = self.now(Ask::Join(join(name, ""))) else {
            panic!("a new member is given an id")
        };
        let ticket = self.ask(Ask::Join(join(name, &id)));
        (id, ticket)
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.answer(ticket) {
            Some(Ok(Told::Joined(joined))) => joined,
            other => panic!("{other:?}"),
        }
    }

    /// A group of these members, all of them assigned their own names; ids in order.
    fn stable(names: &[&str]) -> (Self, Vec<String>) {
        let mut bench = Self::new();
        let joins: Vec<(String, Ticket)> = names.iter().map(|name| bench.join(name)).collect();
        bench.pass(2 * DELAY);
        let ids: Vec<String> = joins.iter().map(|(id, _)| id.clone()).collect();
        let joined: Vec<Joined> = joins.iter().map(|(_, ticket)| bench.joined(*ticket)).collect();
        let leader = joined[0].leader.clone();
        for id in ids.iter().filter(|id| **id != leader).chain([&leader]) {
            let assignments = ids.iter().map(|id| (id.clone(), Bytes::from(id.clone()))).collect();
            bench.ask(Ask::Sync(sync(id, joined[0].generation, assignments)));
        }
        for (_, answer) in std::mem::take(&mut bench.answers) {
            assert!(matches!(answer, Ok(Told::Synced(_))), "{answer:?}");
        }
        (bench, ids)
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> Answer {
        self.now(Ask::Heartbeat(member(id, generation)))
    }

    fn state(&self) -> &'static str {
        self.group.state_name()
    }
}

fn identity(id: &str) -> Identity {
    Identity {
        member_id: id.to_owned(),
        instance_id: None,
    }
}

fn member(id: &str, generation: i32) -> MemberAsk {
    MemberAsk {
        member: identity(id),
        generation,
    }
}

fn protocol(name: &str, metadata: &str) -> Protocol {
    Protocol {
        name: name.to_owned(),
        metadata: Bytes::copy_from_slice(metadata.as_bytes()),
    }
}

fn join(name: &str, id: &str) -> JoinAsk {
    JoinAsk {
        member: identity(id),
        client_id: name.to_owned(),
        client_host: "/10.0.0.1".to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", "r"), protocol("roundrobin", "rr")],
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        requires_known_id: true,
        can_skip_assignment: true,
    }
}

fn static_join(instance: &str, id: &str) -> JoinAsk {
    let mut join = join("c", id);
    join.member.instance_id = Some(instance.to_owned());
    join
}

fn sync(id: &str, generation: i32, assignments: BTreeMap<String, Bytes>) -> SyncAsk {
    SyncAsk {
        member: identity(id),
        generation,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments,
    }
}

#[test]
fn the_first_members_wait_for_company_and_then_share_one_generation() {
    let mut bench = Bench::new();
    let (first, a) = bench.join("a");
    bench.pass(DELAY / 2);
    let (_, b) = bench.join("b");
    bench.pass(DELAY);
    assert_eq!(bench.answer(a), None, "b has come meanwhile: the wait is prolonged");
    bench.pass(DELAY);
    let (a, b) = (bench.joined(a), bench.joined(b));
    assert_eq!(
        (a.generation, a.leader.as_str(), a.members.len()),
        (1, first.as_str(), 2)
    );
    assert_eq!((b.generation, b.leader, b.members.len()), (1, first, 0));
    assert_eq!(a.protocol_name, "range");
}

#[test]
fn a_new_member_has_to_come_back_with_its_id_unless_it_is_old_or_static() {
    let mut bench = Bench::new();
    assert!(matches!(
        bench.now(Ask::Join(join("a", ""))),
        Err(GroupError::MemberIdRequired(_))
    ));
    let mut old = join("a", "");
    old.requires_known_id = false;
    let old = bench.ask(Ask::Join(old));
    let lasting = bench.ask(Ask::Join(static_join("i", "")));
    bench.pass(2 * DELAY);
    assert_ne!(bench.joined(old).member_id, bench.joined(lasting).member_id);
}

#[test]
fn an_id_that_is_promised_and_not_used_holds_a_rebalance_up_for_one_session_at_most() {
    let (mut bench, ids) = Bench::stable(&["a"]);
    assert!(matches!(
        bench.now(Ask::Join(join("b", ""))),
        Err(GroupError::MemberIdRequired(_))
    ));
    let again = bench.ask(Ask::Join(join("a", &ids[0])));
    assert_eq!(bench.answer(again), None);
    bench.pass(SESSION);
    assert_eq!(bench.joined(again).generation, 2);
}

#[test]
fn followers_wait_for_the_leaders_assignment_and_get_their_own() {
    let mut bench = Bench::new();
    let ((a, first), (b, second)) = (bench.join("a"), bench.join("b"));
    bench.pass(2 * DELAY);
    let leader = bench.joined(first).leader;
    bench.joined(second);
    let follower = if leader == a { b } else { a };
    let waiting = bench.ask(Ask::Sync(sync(&follower, 1, BTreeMap::new())));
    assert_eq!(bench.answer(waiting), None);
    let shares = BTreeMap::from([
        (follower.clone(), Bytes::from_static(b"f")),
        ("stranger".to_owned(), Bytes::new()),
    ]);
    let Ok(Told::Synced(own)) = bench.now(Ask::Sync(sync(&leader, 1, shares))) else {
        panic!()
    };
    assert!(own.assignment.is_empty(), "the leader left itself out");
    let Some(Ok(Told::Synced(share))) = bench.answer(waiting) else {
        panic!()
    };
    assert_eq!(share.assignment, "f");
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn a_member_that_joins_makes_the_others_rejoin_and_hear_so_by_heartbeat() {
    let (mut bench, ids) = Bench::stable(&["a"]);
    assert_eq!(bench.heartbeat(&ids[0], 1), Ok(Told::Alive));
    let (_, new) = bench.join("b");
    assert_eq!(bench.heartbeat(&ids[0], 1), Err(GroupError::Rebalancing));
    assert_eq!(bench.answer(new), None);
    let old = bench.ask(Ask::Join(join("a", &ids[0])));
    assert_eq!((bench.joined(old).generation, bench.joined(new).generation), (2, 2));
}

#[test]
fn a_silent_member_is_removed_after_its_session_and_one_that_does_not_rejoin_after_the_rebalance_timeout() {
    let (mut bench, ids) = Bench::stable(&["a", "b"]);
    bench.pass(SESSION - Duration::from_millis(1));
    assert_eq!(bench.heartbeat(&ids[0], 1), Ok(Told::Alive));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.heartbeat(&ids[0], 1), Err(GroupError::Rebalancing));
    assert_eq!(bench.heartbeat(&ids[1], 1), Err(GroupError::UnknownMember));
    let (_, new) = bench.join("c");
    for _ in 0..10 {
        // It lives, and will not join.
        assert_eq!(bench.heartbeat(&ids[0], 1), Err(GroupError::Rebalancing));
        bench.pass(REBALANCE / 10);
    }
    assert_eq!(bench.joined(new).generation, 2);
    assert_eq!(bench.heartbeat(&ids[0], 1), Err(GroupError::UnknownMember));
}

#[test]
fn whoever_joined_and_does_not_sync_is_removed_after_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let ((a, first), (b, second)) = (bench.join("a"), bench.join("b"));
    bench.pass(2 * DELAY);
    let leader = bench.joined(first).leader;
    bench.joined(second);
    let other = if leader == a { &b } else { &a };
    let waiting = bench.ask(Ask::Sync(sync(other, 1, BTreeMap::new())));
    for _ in 0..12 {
        bench.heartbeat(&leader, 1).ok();
        bench.pass(REBALANCE / 10);
    }
    assert_eq!(bench.answer(waiting), Some(Err(GroupError::Rebalancing)));
    assert_eq!(bench.heartbeat(&leader, 1), Err(GroupError::UnknownMember));
}

#[test]
fn members_that_leave_make_room_at_once_and_the_last_one_leaves_an_empty_group() {
    let (mut bench, ids) = Bench::stable(&["a", "b"]);
    let left = bench.now(Ask::Leave(vec![identity(&ids[0]), identity("nobody")]));
    assert_eq!(left, Ok(Told::Left(vec![Ok(()), Err(GroupError::UnknownMember)])));
    assert_eq!(bench.state(), "PreparingRebalance");
    assert_eq!(bench.now(Ask::Delete), Err(GroupError::NotEmpty));
    bench.now(Ask::Leave(vec![identity(&ids[1])])).unwrap();
    assert_eq!((bench.state(), bench.group.generation), ("Empty", 2));
    assert_eq!(bench.now(Ask::Delete), Ok(Told::MayDelete));
}

#[test]
fn bad_requests_are_told_what_is_wrong_with_them() {
    let (mut bench, ids) = Bench::stable(&["a", "b"]);
    let refused = |bench: &mut Bench, change: &dyn Fn(&mut JoinAsk)| {
        let mut join = join("c", "");
        change(&mut join);
        bench.now(Ask::Join(join)).unwrap_err()
    };
    for session in [0, 5999, 1_800_001] {
        let error = refused(&mut bench, &|join| {
            join.session_timeout = Duration::from_millis(session)
        });
        assert_eq!(error, GroupError::InvalidSessionTimeout);
    }
    let error = refused(&mut bench, &|join| join.protocol_type = "connect".to_owned());
    assert_eq!(error, GroupError::InconsistentProtocol);
    let error = refused(&mut bench, &|join| join.protocols = vec![protocol("sticky", "")]);
    assert_eq!(error, GroupError::InconsistentProtocol);
    let error = refused(&mut bench, &|join| join.member.member_id = "stranger".to_owned());
    assert_eq!(error, GroupError::UnknownMember);
    assert_eq!(bench.heartbeat(&ids[0], 0), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.heartbeat("stranger", 1), Err(GroupError::UnknownMember));
    let mut wrong = sync(&ids[0], 1, BTreeMap::new());
    wrong.protocol_name = Some("roundrobin".to_owned());
    assert_eq!(bench.now(Ask::Sync(wrong)), Err(GroupError::InconsistentProtocol));
    assert_eq!(
        bench.now(Ask::Sync(sync(&ids[0], 2, BTreeMap::new()))),
        Err(GroupError::IllegalGeneration)
    );
    let mut nothing = Bench::new();
    let error = refused(&mut nothing, &|join| join.protocols.clear());
    assert_eq!(error, GroupError::InconsistentProtocol);
}

#[test]
fn a_full_group_takes_nobody_else() {
    let (mut bench, ids) = Bench::stable(&["a", "b"]);
    bench.limits.members_max = 2;
    assert_eq!(bench.now(Ask::Join(join("c", ""))), Err(GroupError::Full));
    assert_eq!(bench.heartbeat(&ids[1], 1), Ok(Told::Alive));
    bench.now(Ask::Leave(vec![identity(&ids[0])])).unwrap();
    assert!(matches!(
        bench.now(Ask::Join(join("c", ""))),
        Err(GroupError::MemberIdRequired(_))
    ));
}

#[test]
fn offsets_are_committed_by_members_in_their_generation_or_by_anybody_while_there_are_none() {
    let commit = |bench: &mut Bench, id: &str, generation| bench.now(Ask::Commit(member(id, generation)));
    let mut empty = Bench::new();
    assert_eq!(commit(&mut empty, "", -1), Ok(Told::MayCommit { generation: Some(0) }));
    assert_eq!(commit(&mut empty, "a", 1), Err(GroupError::UnknownMember));
    let (mut bench, ids) = Bench::stable(&["a"]);
    assert_eq!(
        commit(&mut bench, &ids[0], 1),
        Ok(Told::MayCommit { generation: Some(1) })
    );
    assert_eq!(commit(&mut bench, &ids[0], 0), Err(GroupError::IllegalGeneration));
    assert_eq!(commit(&mut bench, "dead", 1), Err(GroupError::UnknownMember));
    assert_eq!(commit(&mut bench, "", -1), Err(GroupError::UnknownMember));
    let (_, new) = bench.join("b");
    assert_eq!(
        commit(&mut bench, &ids[0], 1),
        Ok(Told::MayCommit { generation: Some(1) }),
        "it has not rejoined"
    );
    bench.ask(Ask::Join(join("a", &ids[0])));
    bench.joined(new);
    assert_eq!(
        commit(&mut bench, &ids[0], 2),
        Err(GroupError::Rebalancing),
        "nothing is assigned yet"
    );
}

#[test]
fn a_static_member_that_restarts_takes_its_place_without_a_rebalance_and_fences_its_predecessor() {
    let mut bench = Bench::new();
    let (one, two) = (
        bench.ask(Ask::Join(static_join("i", ""))),
        bench.ask(Ask::Join(static_join("k", ""))),
    );
    bench.pass(2 * DELAY);
    let (one, two) = (bench.joined(one), bench.joined(two));
    let leader = one.leader.clone();
    for joined in [&one, &two] {
        let mut sync = sync(
            &joined.member_id,
            1,
            BTreeMap::from([(one.member_id.clone(), Bytes::from_static(b"1"))]),
        );
        sync.member.instance_id = None;
        bench.ask(Ask::Sync(sync));
    }
    assert_eq!(bench.state(), "Stable");
    let Ok(Told::Joined(back)) = bench.now(Ask::Join(static_join("i", ""))) else {
        panic!()
    };
    assert_ne!(back.member_id, one.member_id);
    assert_eq!((back.generation, bench.state()), (1, "Stable"));
    assert_eq!(back.skip_assignment, leader == one.member_id);
    let Ok(Told::Synced(share)) = bench.now(Ask::Sync(sync(&back.member_id, 1, BTreeMap::new()))) else {
        panic!()
    };
    assert_eq!(share.assignment, "1");
    let mut old = member(&one.member_id, 1);
    old.member.instance_id = Some("i".to_owned());
    assert_eq!(bench.now(Ask::Heartbeat(old.clone())), Err(GroupError::FencedInstance));
    assert_eq!(bench.now(Ask::Commit(old)), Err(GroupError::FencedInstance));
    let by_name = Identity {
        member_id: String::new(),
        instance_id: Some("i".to_owned()),
    };
    assert_eq!(bench.now(Ask::Leave(vec![by_name])), Ok(Told::Left(vec![Ok(())])));
}

#[test]
fn the_protocol_is_the_one_that_all_speak_and_most_prefer() {
    let mut bench = Bench::new();
    let likes = |bench: &mut Bench, name: &str, protocols: &[&str]| {
        let mut join = join(name, "");
        join.requires_known_id = false;
        join.protocols = protocols.iter().map(|name| protocol(name, "")).collect();
        bench.ask(Ask::Join(join))
    };
    let first = likes(&mut bench, "a", &["x", "sticky", "range"]);
    likes(&mut bench, "b", &["range", "sticky"]);
    likes(&mut bench, "c", &["sticky", "range"]);
    bench.pass(3 * DELAY);
    assert_eq!(bench.joined(first).protocol_name, "sticky");
}

#[test]
fn members_survive_a_change_of_coordinator_without_a_rebalance() {
    let (mut bench, ids) = Bench::stable(&["a", "b"]);
    bench.pass(SESSION / 2);
    bench.take_over();
    bench.pass(SESSION - Duration::from_millis(1));
    for id in &ids {
        assert_eq!(bench.heartbeat(id, 1), Ok(Told::Alive), "its session has begun anew");
        let Ok(Told::Synced(share)) = bench.now(Ask::Sync(sync(id, 1, BTreeMap::new()))) else {
            panic!()
        };
        assert_eq!(share.assignment, id.as_bytes());
    }
    bench.pass(SESSION);
    assert_eq!(
        bench.heartbeat(&ids[0], 1),
        Err(GroupError::UnknownMember),
        "nobody was heard of for a session"
    );
}

#[test]
fn a_rebalance_under_way_goes_on_with_another_coordinator() {
    let (mut bench, ids) = Bench::stable(&["a"]);
    let (new, waiting) = bench.join("b");
    bench.take_over();
    assert_eq!(bench.answer(waiting), Some(Err(GroupError::NotCoordinator)));
    assert_eq!(bench.heartbeat(&ids[0], 1), Err(GroupError::Rebalancing));
    let (a, b) = (
        bench.ask(Ask::Join(join("a", &ids[0]))),
        bench.ask(Ask::Join(join("b", &new))),
    );
    let a = bench.joined(a);
    assert_eq!((a.generation, a.members.len(), bench.joined(b).generation), (2, 2, 2));
}

#[test]
fn a_member_that_never_heard_its_id_does_not_outlive_its_coordinator() {
    let (mut bench, ids) = Bench::stable(&["a"]);
    let mut old = join("b", "");
    old.requires_known_id = false;
    bench.ask(Ask::Join(old.clone()));
    bench.take_over();
    let (a, b) = (bench.ask(Ask::Join(join("a", &ids[0]))), bench.ask(Ask::Join(old)));
    let a = bench.joined(a);
    assert_eq!(
        bench.answer(b),
        None,
        "a's generation has begun with a alone, b's join begins the next one"
    );
    assert_eq!(a.members.len(), 1);
}

#[test]
fn topics_that_consumers_subscribe_to_are_read_from_whatever_bytes() {
    let subscription = |bytes: &'static [u8]| {
        let mut bench = Bench::new();
        let mut join = join("a", "");
        join.requires_known_id = false;
        join.protocols[0].metadata = Bytes::from_static(bytes);
        bench.ask(Ask::Join(join));
        match bench.now(Ask::Forget) {
            Ok(Told::MayForget { subscribed }) => subscribed.into_iter().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(subscription(b"\0\x03\0\0\0\x02\0\x01a\0\x02bcrest"), ["a", "bc"]);
    assert!(subscription(b"").is_empty());
    assert!(subscription(b"\0\x01\x7f\xff\xff\xff").is_empty());
    assert!(subscription(b"\0\x01\xff\xff\xff\xff\0\x01a").is_empty());
}

#[test]
fn what_was_saved_by_this_version_can_be_read_for_ever() {
    const GOLDEN: &str = r#"{"version":1,"protocol_name":"range","leader":"m","members":[{"id":"m","instance_id":"i",
        "client_id":"c","client_host":"/10.0.0.1","session_timeout_ms":10000,"rebalance_timeout_ms":60000,
        "protocols":[{"name":"range","metadata":"AAE="}],"assignment":"eHl6"}]}"#;
    let state = GroupState {
        generation: 7,
        state: "Stable".to_owned(),
        protocol_type: "consumer".to_owned(),
        member_count: 1,
        content: Some(GOLDEN.as_bytes().to_vec()),
        ..GroupState::empty(GroupKind::Classic)
    };
    let group = ClassicGroup::load(&state, Instant::now()).unwrap();
    let described = group.describe();
    assert_eq!((described.state, described.protocol_name.as_str()), ("Stable", "range"));
    assert_eq!(described.members[0].metadata, b"\0\x01".as_slice());
    assert_eq!(described.members[0].assignment, "xyz");
    let again = ClassicGroup::load(&group.state(), Instant::now()).unwrap();
    assert_eq!(again.describe(), described);
    let newer = GroupState {
        content: Some(GOLDEN.replace(":1,\"protocol_name", ":2,\"protocol_name").into_bytes()),
        ..state
    };
    assert!(
        ClassicGroup::load(&newer, Instant::now())
            .unwrap_err()
            .to_string()
            .contains("format 2")
    );
}
