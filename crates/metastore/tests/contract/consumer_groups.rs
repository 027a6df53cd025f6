//! Consumer groups: who may change them, and what becomes of those nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use metastore::{
    CoordinatorEpoch, ExpiredGroups, GroupFence, GroupKind, GroupState, GroupWriteError, Metastore, TakenGroup,
};
use types::NodeId;

use crate::group_offsets::{at, committed, offsets};
use crate::world::{World, topic};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const DAY_MS: i32 = 86_400_000;

async fn take(metastore: &Metastore, node: NodeId) -> TakenGroup {
    let taken = metastore.take_group("g", node, Some(GroupKind::Classic)).await;
    taken.expect("it answers").expect("it is created")
}

fn state(generation: i32, member_count: i32) -> GroupState {
    GroupState {
        generation,
        state: if member_count == 0 { "Empty" } else { "Stable" }.to_owned(),
        protocol_type: "consumer".to_owned(),
        member_count,
        content: Some(vec![0, 255, 7]),
        ..GroupState::empty(GroupKind::Classic)
    }
}

fn in_generation(epoch: CoordinatorEpoch, generation: i32) -> GroupFence {
    GroupFence {
        epoch,
        generation: Some(generation),
    }
}

async fn commit(metastore: &Metastore, fence: GroupFence, offset: i64) -> Result<(), GroupWriteError> {
    let offsets = BTreeMap::from([(at("t", 0), committed(offset))]);
    metastore
        .commit_group_offsets("g", fence, &offsets)
        .await
        .map(|known| assert_eq!(known.len(), 1))
}

fn is_fenced<T>(result: Result<T, GroupWriteError>) -> bool {
    matches!(result, Err(GroupWriteError::Fenced))
}

pub(crate) async fn a_taken_group_has_what_its_last_coordinator_wrote_under_an_epoch_of_its_own(world: World) {
    let metastore = world.metastore.clone();
    assert_eq!(metastore.take_group("g", A, None).await.unwrap(), None);
    let first = take(&metastore, A).await;
    assert_eq!(first.state, GroupState::empty(GroupKind::Classic));
    metastore.save_group("g", first.epoch, &state(3, 2)).await.unwrap();
    let second = metastore.take_group("g", B, None).await.unwrap().unwrap();
    assert_eq!(second.state, state(3, 2));
    assert_ne!(second.epoch, first.epoch);
    let third = take(&metastore, B).await;
    assert_eq!(third.state, state(3, 2));
    assert!(third.epoch != second.epoch && third.epoch != first.epoch);
}

pub(crate) async fn whoever_was_replaced_changes_nothing_any_more(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 1).await;
    let old = take(&metastore, A).await.epoch;
    metastore.save_group("g", old, &state(1, 1)).await.unwrap();
    let new = take(&metastore, B).await.epoch;
    assert!(is_fenced(metastore.save_group("g", old, &state(2, 5)).await));
    assert!(is_fenced(commit(&metastore, in_generation(old, 1), 5).await));
    assert!(is_fenced(metastore.delete_group("g", old).await));
    assert!(is_fenced(
        metastore
            .delete_group_offsets("g", old, &BTreeSet::from([at("t", 0)]))
            .await
    ));
    assert!(offsets(&metastore, "g").await.is_empty());
    commit(&metastore, in_generation(new, 1), 6).await.unwrap();
    assert_eq!(take(&metastore, B).await.state, state(1, 1));
}

pub(crate) async fn a_generation_that_is_over_commits_nothing(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 1).await;
    let epoch = take(&metastore, A).await.epoch;
    metastore.save_group("g", epoch, &state(1, 1)).await.unwrap();
    commit(&metastore, in_generation(epoch, 1), 5).await.unwrap();
    metastore.save_group("g", epoch, &state(2, 1)).await.unwrap();
    assert!(is_fenced(commit(&metastore, in_generation(epoch, 1), 6).await));
    let whichever = GroupFence {
        epoch,
        generation: None,
    };
    assert_eq!(offsets(&metastore, "g").await[&at("t", 0)], committed(5));
    commit(&metastore, whichever, 7).await.unwrap();
    assert_eq!(offsets(&metastore, "g").await[&at("t", 0)], committed(7));
}

pub(crate) async fn a_deleted_group_takes_its_offsets_along_and_fences_its_last_coordinator(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 1).await;
    let epoch = take(&metastore, A).await.epoch;
    commit(&metastore, in_generation(epoch, 0), 5).await.unwrap();
    metastore.delete_group("g", epoch).await.unwrap();
    assert_eq!(metastore.groups().await.unwrap(), []);
    // Another group of the same name is no business of who coordinated the first.
    let again = take(&metastore, B).await;
    assert_eq!(again.state, GroupState::empty(GroupKind::Classic));
    assert!(is_fenced(metastore.save_group("g", epoch, &state(9, 1)).await));
    assert!(offsets(&metastore, "g").await.is_empty());
}

pub(crate) async fn offsets_are_forgotten_by_partition_and_only_by_the_coordinator(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 2).await;
    let epoch = take(&metastore, A).await.epoch;
    let both = BTreeMap::from([(at("t", 0), committed(1)), (at("t", 1), committed(2))]);
    let fence = in_generation(epoch, 0);
    metastore.commit_group_offsets("g", fence, &both).await.unwrap();
    let named = BTreeSet::from([at("t", 0), at("t", 5), at("u", 0)]);
    let known = metastore.delete_group_offsets("g", epoch, &named).await.unwrap();
    assert_eq!(known, BTreeSet::from([at("t", 0)]));
    let left = offsets(&metastore, "g").await;
    assert_eq!(left.into_keys().collect::<Vec<_>>(), [at("t", 1)]);
}

pub(crate) async fn idle_groups_lose_their_offsets_after_the_retention_and_others_keep_them(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "t", 1).await;
    let epoch = take(&metastore, A).await.epoch;
    let day = u64::try_from(DAY_MS).unwrap();
    metastore.save_group("g", epoch, &state(1, 1)).await.unwrap();
    commit(&metastore, in_generation(epoch, 1), 5).await.unwrap();
    let expire = || metastore.expire_groups(day, 1000);
    world.pass_ms(2 * DAY_MS).await;
    assert_eq!(expire().await.unwrap(), ExpiredGroups::default(), "it has a member");
    metastore.save_group("g", epoch, &state(2, 0)).await.unwrap();
    world.pass_ms(DAY_MS / 2).await;
    assert_eq!(
        expire().await.unwrap(),
        ExpiredGroups::default(),
        "its member left half a day ago"
    );
    world.pass_ms(DAY_MS).await;
    let expired = ExpiredGroups { offsets: 1, groups: 1 };
    assert_eq!(expire().await.unwrap(), expired);
    assert!(offsets(&metastore, "g").await.is_empty());
    assert!(is_fenced(metastore.save_group("g", epoch, &state(3, 1)).await));
    // A group of someone who only commits is as old as its last commit.
    let epoch = take(&metastore, A).await.epoch;
    world.pass_ms(2 * DAY_MS).await;
    commit(&metastore, in_generation(epoch, 0), 6).await.unwrap();
    assert_eq!(expire().await.unwrap(), ExpiredGroups::default());
}

pub(crate) async fn groups_are_listed_with_who_took_them_last(world: World) {
    let metastore = world.metastore.clone();
    let epoch = take(&metastore, A).await.epoch;
    metastore.save_group("g", epoch, &state(1, 4)).await.unwrap();
    metastore.take_group("f", A, Some(GroupKind::Consumer)).await.unwrap();
    take(&metastore, B).await;
    let listed = metastore.groups().await.unwrap();
    let [f, g] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(
        (f.group_id.as_str(), f.kind, f.coordinator),
        ("f", GroupKind::Consumer, A)
    );
    assert_eq!(
        (g.group_id.as_str(), g.kind, g.coordinator),
        ("g", GroupKind::Classic, B)
    );
    assert_eq!(
        (g.state.as_str(), g.protocol_type.as_str(), g.member_count),
        ("Stable", "consumer", 4)
    );
}
