//! Orphans: recorded once, known by their age, and what is pending past an end becomes one.

use commit::invoke::SlotResult;
use metastore::{Backlog, EndedStream};
use types::{Slot, SlotSeq};

use crate::cluster::slot;
use crate::world::World;

const GRACE_MS: i64 = 10_000;

impl World {
    async fn old_orphans(&self) -> Vec<Slot> {
        self.metastore.old_orphans(GRACE_MS, 9).await.unwrap()
    }

    async fn unsearched(&self) -> Vec<EndedStream> {
        self.metastore.unsearched_streams(GRACE_MS, 9).await.unwrap()
    }

    async fn backlog(&self) -> Backlog {
        self.metastore.backlog().await.unwrap()
    }
}

pub(crate) async fn a_slot_past_the_end_is_recorded_once_and_old_after_the_grace(world: World) {
    let stream = world.stream().await;
    let past = slot(stream, 2);
    world.commit(vec![world.tombstone(slot(stream, 0))]).await;
    for _ in 0..2 {
        let told = world.committer.commit(vec![world.footer(past, &[])]).await.unwrap();
        assert_eq!(told[&past], SlotResult::Orphan);
        assert_eq!(world.backlog().await.orphans, 1);
    }
    assert_eq!(world.old_orphans().await, []);
    world.pass_ms(10_001).await;
    // Met again: the time of the first meeting counts.
    assert_eq!(world.metastore.record_orphans(&[past]).await.unwrap(), 0);
    assert_eq!(world.old_orphans().await, [past]);
    world.metastore.forget_orphans(&[past]).await.unwrap();
    assert_eq!(
        (world.old_orphans().await, world.backlog().await),
        (vec![], Backlog::default())
    );
}

pub(crate) async fn only_what_lies_past_an_end_can_be_an_orphan(world: World) {
    let (open, ended) = (world.stream().await, world.stream().await);
    world
        .commit(vec![world.footer(slot(ended, 0), &[]), world.tombstone(slot(ended, 1))])
        .await;
    let none = [slot(open, 0), slot(open, 9), slot(ended, 0), slot(ended, 1)];
    assert_eq!(world.metastore.record_orphans(&none).await.unwrap(), 0);
    assert_eq!(world.metastore.record_orphans(&[slot(ended, 2)]).await.unwrap(), 1);
    // A tombstone is never one: it must never be deleted.
    world.commit(vec![world.tombstone(slot(ended, 3))]).await;
    assert_eq!(world.backlog().await.orphans, 1);
}

pub(crate) async fn what_is_pending_past_an_end_becomes_an_orphan(world: World) {
    let (ended, open) = (world.stream().await, world.stream().await);
    world.commit(vec![world.footer(slot(ended, 3), &[])]).await;
    world.commit(vec![world.footer(slot(open, 3), &[])]).await;
    world.pass_ms(2_000).await;
    let waiting = world.backlog().await;
    assert_eq!((waiting.pending_slots, waiting.orphans), (2, 0));
    assert!((2_000..10_000).contains(&waiting.oldest_pending_ms), "{waiting:?}");

    world.commit(vec![world.tombstone(slot(ended, 0))]).await;
    assert_eq!(world.metastore.orphan_pending().await.unwrap(), 1);
    assert_eq!(world.metastore.orphan_pending().await.unwrap(), 0);
    let left = world.backlog().await;
    assert_eq!((left.pending_slots, left.orphans), (1, 1));
    world.pass_ms(10_001).await;
    assert_eq!(world.old_orphans().await, [slot(ended, 3)]);
}

pub(crate) async fn an_ended_stream_is_searched_once_and_not_before_the_grace(world: World) {
    let (stream, open) = (world.stream().await, world.stream().await);
    world.commit(vec![world.footer(slot(open, 0), &[])]).await;
    world
        .commit(vec![
            world.footer(slot(stream, 0), &[]),
            world.tombstone(slot(stream, 1)),
        ])
        .await;
    assert_eq!(world.unsearched().await, []);
    world.pass_ms(10_001).await;
    let ended = EndedStream {
        stream,
        end_seq: SlotSeq(1),
    };
    assert_eq!(world.unsearched().await, [ended]);
    world.metastore.note_searched(stream).await.unwrap();
    assert_eq!(world.unsearched().await, []);
}
