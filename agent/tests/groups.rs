//! Consumer groups over whole agents, in virtual time: whichever agent is asked, the group's coordinator answers, and one that
//! cannot be sure that it still is says so.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::group::relay::marker::mark;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};
use types::NodeId;
use world::{Agent, Client, Postgres, World};

/// No error of Kafka's.
const NONE: i16 = 0;
const GROUP: &str = "g";
/// How long a lease lives without a renewal.
const TTL: Duration = Duration::from_secs(5);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

fn join_request(id: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"));
    JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

async fn join(client: &mut Client, member: &str) -> JoinGroupResponse {
    client.ask(ApiKey::JoinGroup, 9, join_request(GROUP, member)).await
}

/// Joins as a new member does: once for its id, and once with it.
async fn join_anew(client: &mut Client) -> JoinGroupResponse {
    let told = join(client, "").await;
    assert_eq!(told.error_code, ResponseError::MemberIdRequired.code());
    let joined = join(client, told.member_id.as_str()).await;
    assert_eq!(joined.error_code, NONE);
    joined
}

/// Everybody is assigned their own id.
async fn sync(client: &mut Client, joined: &JoinGroupResponse) -> SyncGroupResponse {
    let assignments = joined.members.iter().map(|member| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.member_id.clone())
            .with_assignment(member.member_id.clone().into_bytes())
    });
    let request = SyncGroupRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(joined.member_id.clone())
        .with_generation_id(joined.generation_id)
        .with_assignments(assignments.collect());
    client.ask(ApiKey::SyncGroup, 5, request).await
}

async fn heartbeat(client: &mut Client, member: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(text(member))
        .with_generation_id(generation);
    let response: HeartbeatResponse = client.ask(ApiKey::Heartbeat, 4, request).await;
    response.error_code
}

async fn commit(client: &mut Client, id: &str, member: &str, generation: i32) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(5);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic]);
    let response: OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, 9, request).await;
    response.topics[0].partitions[0].error_code
}

async fn leave(client: &mut Client, member: &str) -> i16 {
    let request = LeaveGroupRequest::default()
        .with_group_id(group(GROUP))
        .with_member_id(text(member));
    let response: LeaveGroupResponse = client.ask(ApiKey::LeaveGroup, 2, request).await;
    response.error_code
}

/// Two agents behind one address, and a member at each, in one generation.
struct Pair {
    world: World,
    /// How each agent reaches Postgres.
    ways: [Arc<Postgres>; 2],
    agents: [Agent; 2],
    clients: [Client; 2],
    members: [String; 2],
}

impl Pair {
    async fn new() -> Self {
        let world = World::new();
        let ways = [Arc::<Postgres>::default(), Arc::default()];
        let agents = [
            world.agent_over(ways[0].clone()).await,
            world.agent_over(ways[1].clone()).await,
        ];
        for agent in &agents {
            agent.until_ready(true).await;
        }
        // Until both know of both.
        sleep(Duration::from_secs(2)).await;
        let mut clients = [agents[0].connect().await, agents[1].connect().await];
        clients[0].create_topic("t").await;
        let [one, two] = &mut clients;
        let (first, second) = tokio::join!(join_anew(one), join_anew(two));
        assert_eq!((first.generation_id, second.generation_id), (1, 1));
        let (a, b) = tokio::join!(sync(one, &first), sync(two, &second));
        for (synced, joined) in [(&a, &first), (&b, &second)] {
            assert_eq!(
                (synced.error_code, &synced.assignment[..]),
                (NONE, joined.member_id.as_bytes())
            );
        }
        Self {
            world,
            ways,
            agents,
            clients,
            members: [first.member_id.to_string(), second.member_id.to_string()],
        }
    }

    /// Which agent coordinates: the other one refuses what was passed on to it.
    async fn coordinator(&self) -> usize {
        let mut told = [NONE; 2];
        for (agent, told) in self.agents.iter().zip(&mut told) {
            let mut peer = agent.connect().await;
            peer.client_id = Some(text(&mark(IpAddr::from([10, 0, 0, 9]), Some("app"))));
            *told = heartbeat(&mut peer, &self.members[0], 1).await;
        }
        let refused = ResponseError::NotCoordinator.code();
        match told {
            [NONE, code] if code == refused => 0,
            [code, NONE] if code == refused => 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_at_different_agents_belong_to_one_group() {
    let mut pair = Pair::new().await;
    pair.coordinator().await;
    let [one, two] = &mut pair.clients;
    for client in [one, two] {
        for member in &pair.members {
            assert_eq!(heartbeat(client, member, 1).await, NONE);
            assert_eq!(commit(client, GROUP, member, 1).await, NONE);
        }
        let describe = DescribeGroupsRequest::default().with_groups(vec![group(GROUP), group("nobody")]);
        let response: DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 6, describe).await;
        let [described, missing] = &response.groups[..] else {
            panic!("{response:?}")
        };
        assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 2));
        assert!(
            described
                .members
                .iter()
                .all(|member| member.client_host.as_str() == "/127.0.0.1")
        );
        assert_eq!(missing.error_code, ResponseError::GroupIdNotFound.code());
        let listed: ListGroupsResponse = client.ask(ApiKey::ListGroups, 5, ListGroupsRequest::default()).await;
        assert_eq!(listed.groups.len(), 1);
        let delete = DeleteGroupsRequest::default().with_groups_names(vec![group(GROUP), group("nobody")]);
        let deleted: DeleteGroupsResponse = client.ask(ApiKey::DeleteGroups, 2, delete).await;
        assert_eq!(deleted.results[0].error_code, ResponseError::NonEmptyGroup.code());
        assert_eq!(deleted.results[1].error_code, ResponseError::GroupIdNotFound.code());
    }
}

#[tokio::test(start_paused = true)]
async fn a_join_that_waits_holds_nobody_else_up() {
    let mut pair = Pair::new().await;
    let passes_on = 1 - pair.coordinator().await;
    let mut waiting = pair.agents[passes_on].connect().await;
    let joins = tokio::spawn(async move { join_anew(&mut waiting).await });
    let begun = Instant::now();
    let rebalancing = ResponseError::RebalanceInProgress.code();
    let [first, second] = pair.members.clone();
    while heartbeat(&mut pair.clients[passes_on], &first, 1).await != rebalancing {
        sleep(Duration::from_millis(50)).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "the same connection between the agents carries both"
    );
    let [one, two] = &mut pair.clients;
    let (a, b) = tokio::join!(join(one, &first), join(two, &second));
    let third = joins.await.unwrap();
    assert_eq!((a.generation_id, b.generation_id, third.generation_id), (2, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn members_go_on_in_their_generation_when_their_coordinator_is_killed() {
    let mut pair = Pair::new().await;
    let coordinator = pair.coordinator().await;
    let [agent_0, agent_1] = pair.agents;
    let (killed, _lives) = if coordinator == 0 {
        (agent_0, agent_1)
    } else {
        (agent_1, agent_0)
    };
    drop(killed);
    let begun = Instant::now();
    let client = &mut pair.clients[1 - coordinator];
    assert_eq!(until_answered(client, &pair.members[0], 1).await, NONE);
    assert!(begun.elapsed() < TTL + Duration::from_secs(3), "{:?}", begun.elapsed());
    for member in &pair.members {
        assert_eq!(heartbeat(client, member, 1).await, NONE);
        assert_eq!(commit(client, GROUP, member, 1).await, NONE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_cannot_confirm_its_lease_does_not_answer_from_memory() {
    let mut pair = Pair::new().await;
    let coordinator = pair.coordinator().await;
    let client = &mut pair.clients[coordinator];
    pair.ways.iter().for_each(|way| way.away());
    assert_eq!(
        heartbeat(client, &pair.members[0], 1).await,
        NONE,
        "its lease is good for a while"
    );
    sleep(TTL + Duration::from_millis(1)).await;
    let unavailable = ResponseError::CoordinatorNotAvailable.code();
    assert_eq!(heartbeat(client, &pair.members[0], 1).await, unavailable);
    sleep(Duration::from_secs(60)).await;
    pair.ways.iter().for_each(|way| way.back());
    until_answered(client, &pair.members[0], 1).await;
    for member in &pair.members {
        assert_eq!(
            heartbeat(client, member, 1).await,
            NONE,
            "nobody was forgotten for a silence that we imposed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_was_cut_off_knows_what_another_did_meanwhile() {
    let mut pair = Pair::new().await;
    let coordinator = pair.coordinator().await;
    pair.ways[coordinator].away();
    let [first, second] = pair.members.clone();
    let there = &mut pair.clients[1 - coordinator];
    // Until its lease has run out.
    sleep(TTL + Duration::from_secs(2)).await;
    assert_eq!(until_answered(there, &first, 1).await, NONE);
    assert_eq!(leave(there, &second).await, NONE);
    let rejoined = join(there, &first).await;
    assert_eq!(rejoined.generation_id, 2);
    sync(there, &rejoined).await;

    pair.ways[coordinator].back();
    let here = &mut pair.clients[coordinator];
    // Its first word is already what the row says, although what it had in memory says otherwise.
    assert_eq!(
        until_answered(here, &second, 1).await,
        ResponseError::UnknownMemberId.code()
    );
    assert_eq!(until_answered(here, &first, 2).await, NONE);
}

/// The first word of somebody who coordinates.
async fn until_answered(client: &mut Client, member: &str, generation: i32) -> i16 {
    loop {
        let told = heartbeat(client, member, generation).await;
        let retriable = [ResponseError::NotCoordinator, ResponseError::CoordinatorNotAvailable];
        if retriable.iter().all(|error| error.code() != told) {
            return told;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_whose_group_was_taken_for_a_moment_commits_again() {
    let mut pair = Pair::new().await;
    let coordinator = pair.coordinator().await;
    let (client, member) = (&mut pair.clients[coordinator], pair.members[0].clone());
    // As an agent does that has not heard yet that the coordinator is back.
    let metastore = pair.world.tables.connect(pair.ways[coordinator].clone());
    let taken = metastore.take_group(GROUP, NodeId(99), None).await.unwrap();
    assert!(taken.is_some());
    assert_eq!(heartbeat(client, &member, 1).await, NONE, "from memory");
    let first = commit(client, GROUP, &member, 1).await;
    assert_eq!(first, ResponseError::NotCoordinator.code());
    // As a client does that was told so.
    let mut told = first;
    for _ in 0..10 {
        told = commit(client, GROUP, &member, 1).await;
    }
    assert_eq!(told, NONE);
}

#[tokio::test(start_paused = true)]
async fn bad_requests_get_kafkas_own_errors() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("t").await;
    for session_timeout_ms in [-1, 5999, 1_800_001] {
        let request = join_request(GROUP, "").with_session_timeout_ms(session_timeout_ms);
        let told: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 9, request).await;
        assert_eq!(told.error_code, ResponseError::InvalidSessionTimeout.code());
    }
    let told: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 9, join_request("", "")).await;
    assert_eq!(told.error_code, ResponseError::InvalidGroupId.code());
    assert_eq!(
        commit(&mut client, "", "", -1).await,
        ResponseError::InvalidGroupId.code()
    );

    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(heartbeat(&mut client, "m", 1).await, unknown, "there is no such group");
    assert_eq!(leave(&mut client, "m").await, unknown);
    assert_eq!(
        commit(&mut client, GROUP, "m", 1).await,
        ResponseError::IllegalGeneration.code()
    );
    assert_eq!(
        commit(&mut client, GROUP, "", -1).await,
        NONE,
        "whoever assigns partitions to itself"
    );

    let joined = join_anew(&mut client).await;
    let member = joined.member_id.as_str();
    let early = commit(&mut client, GROUP, member, 1).await;
    assert_eq!(
        early,
        ResponseError::RebalanceInProgress.code(),
        "it has joined and has no assignment"
    );
    sync(&mut client, &joined).await;
    assert_eq!(commit(&mut client, GROUP, member, 1).await, NONE);
    assert_eq!(
        commit(&mut client, GROUP, member, 0).await,
        ResponseError::IllegalGeneration.code()
    );
    assert_eq!(
        commit(&mut client, GROUP, "", -1).await,
        unknown,
        "the group has members"
    );
    assert_eq!(
        heartbeat(&mut client, member, 2).await,
        ResponseError::IllegalGeneration.code()
    );
    let mut other = join_request(GROUP, "").with_protocol_type(text("connect"));
    let told: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 9, other.clone()).await;
    assert_eq!(told.error_code, ResponseError::InconsistentGroupProtocol.code());
    let nul = join_request("new", "").with_protocol_type(text("a\0"));
    let told: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 9, nul).await;
    assert_eq!(told.error_code, ResponseError::InconsistentGroupProtocol.code());
    other.protocols.clear();
    let told: JoinGroupResponse = client.ask(ApiKey::JoinGroup, 0, other).await;
    assert_eq!(told.error_code, ResponseError::InconsistentGroupProtocol.code());
    assert_eq!(leave(&mut client, member).await, NONE);
    assert_eq!(commit(&mut client, GROUP, member, 1).await, unknown, "it is dead");
}

async fn list(client: &mut Client) -> BTreeSet<String> {
    let listed: ListGroupsResponse = client.ask(ApiKey::ListGroups, 5, ListGroupsRequest::default()).await;
    let ids = listed.groups.iter().map(|group| group.group_id.to_string());
    ids.collect()
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_by_the_brokers_that_a_listener_shows() {
    let world = World::new();
    let listeners = |n: u16| format!("--listeners=INTERNAL://:{n}1=agent-{n}:29092,EXTERNAL://:{n}2=kafka:9092");
    let agents = [world.agent(&[&listeners(1)]).await, world.agent(&[&listeners(2)]).await];
    for agent in &agents {
        agent.until_ready(true).await;
    }
    sleep(Duration::from_secs(2)).await;
    let mut client = agents[0].connect_through("EXTERNAL").await;
    client.create_topic("t").await;
    let all: BTreeSet<String> = (0..8).map(|n| format!("g{n}")).collect();
    for id in &all {
        assert_eq!(commit(&mut client, id, "", -1).await, NONE);
    }
    let mut apart = Vec::new();
    for agent in &agents {
        let mut behind_one_address = agent.connect_through("EXTERNAL").await;
        assert_eq!(list(&mut behind_one_address).await, all, "they are one broker");
        let mut alone = agent.connect_through("INTERNAL").await;
        apart.extend(list(&mut alone).await);
    }
    apart.sort();
    assert_eq!(apart, Vec::from_iter(all), "each group by one of the two");
}

async fn committed(client: &mut Client, version: i16) -> (i16, Option<i64>) {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text("t")))
        .with_partition_indexes(vec![0]);
    let wanted = OffsetFetchRequestGroup::default()
        .with_group_id(group(GROUP))
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
    let response: OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, version, request).await;
    let found = &response.groups[0];
    let offset = found.topics.first().map(|topic| topic.partitions[0].committed_offset);
    (found.error_code, offset)
}

#[tokio::test(start_paused = true)]
async fn committed_offsets_are_waited_for_while_postgres_restarts() {
    let world = World::new();
    let agent = world.agent(&[]).await;
    let mut client = agent.connect().await;
    client.create_topic("t").await;
    assert_eq!(commit(&mut client, GROUP, "", -1).await, NONE);
    world.postgres.away();
    let restart = async {
        sleep(Duration::from_secs(10)).await;
        world.postgres.back();
    };
    let (found, ()) = tokio::join!(committed(&mut client, 8), restart);
    assert_eq!(found, (NONE, Some(5)));

    world.postgres.away();
    let asked = Instant::now();
    let loading = ResponseError::CoordinatorLoadInProgress.code();
    assert_eq!(committed(&mut client, 8).await, (loading, None));
    let waited = asked.elapsed().as_secs();
    assert!((19..29).contains(&waited), "{waited} s, and Java waits for 30");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_does_not_hear_who_lives_any_more_stops_answering() {
    let mut pair = Pair::new().await;
    let coordinator = pair.coordinator().await;
    pair.ways[coordinator].hide_agents();
    let unavailable = ResponseError::CoordinatorNotAvailable.code();
    let (client, member) = (&mut pair.clients[coordinator], &pair.members[0]);
    let begun = Instant::now();
    while heartbeat(client, member, 1).await != unavailable {
        assert!(
            begun.elapsed() < 2 * TTL,
            "its lease is renewed, and another agent may have come"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
