//! Histories that broke earlier drafts of the protocol, each replayed move by move: the real writer, the real function
//! and sweep, over a bucket and a metastore in memory. Each must stay impossible. The numbers are those of docs/RELIABILITY.md.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod clock;
mod scripted;
mod world;

use std::time::Duration;

use agent::produce::ack::AckLevel::{Committed, Durable};
use object_format::{Kind, slot_key};
use storage::ObjectStore;
use tokio::time::sleep;
use types::SlotSeq;
use world::{World, slot};

/// (1)
#[tokio::test(start_paused = true)]
async fn what_lost_its_slot_comes_before_what_was_written_behind_it() {
    let world = World::new().await;
    let mut agent = world.agent().await;
    let stream = agent.stream();
    let held = agent.view.hold(0);
    let mut first = agent.append("first", Durable).await;
    let mut second = agent.append("second", Durable).await;
    held.arrived().await;
    // Slot 1 is in S3, slot 0 is free, and nobody holds a lease: the second pass ends the stream at slot 0.
    world.sweep().await;
    world.sweep().await;
    assert_eq!(world.row(stream).await.end_seq, Some(SlotSeq(0)));
    world.event(stream, 1).await;
    assert_eq!(
        world.log().await,
        [""; 0],
        "what lies past the end is not part of the log"
    );
    first.says_nothing().await;
    second.says_nothing().await;

    held.release();
    agent.left(stream).await;
    first.says_durable().await;
    second.says_durable().await;
    agent.stop().await;
    assert_eq!(world.log().await, ["first", "second"]);
}

/// (2)
#[tokio::test(start_paused = true)]
async fn a_slot_that_landed_behind_a_lost_one_is_not_there_twice() {
    for event_of_the_later_slot_first in [true, false] {
        let world = World::new().await;
        let mut agent = world.agent().await;
        let stream = agent.stream();
        let held = agent.view.hold(0);
        agent.append("first", Committed).await;
        let second = agent.append("second", Committed).await;
        held.arrived().await;
        if event_of_the_later_slot_first {
            world.event(stream, 1).await;
        }
        world.sweep().await;
        world.sweep().await;
        held.release();
        agent.left(stream).await;
        world.event(stream, 1).await;
        world.event(stream, 0).await;
        agent.stop().await;
        second.says_committed_at(1).await;
        world.event(stream, 1).await;
        world.sweep().await;
        assert_eq!(world.log().await, ["first", "second"]);
    }
}

/// (3)
#[tokio::test(start_paused = true)]
async fn a_new_stream_does_not_overtake_what_its_predecessor_holds_uncommitted() {
    let world = World::new().await;
    let mut agent = world.agent().await;
    let stream = agent.stream();
    // Ours and acked, and its event is lost; then a sweep ends the stream behind it and dies before it writes the row.
    agent.append("first", Durable).await.says_durable().await;
    world.tombstone_in_s3_only(stream, 1).await;
    let second = agent.append("second", Durable).await;
    let next = agent.left(stream).await;
    second.says_durable().await;
    // The event of the new stream's first slot comes before those of the old one.
    world.event(next, 0).await;
    world.event(stream, 1).await;
    world.event(stream, 0).await;
    assert_eq!(world.log().await, ["first", "second"]);
}

/// (4)
#[tokio::test(start_paused = true)]
async fn a_stream_in_between_that_never_held_data_turns_no_order() {
    let world = World::new().await;
    let mut agent = world.agent().await;
    let first_stream = agent.stream();
    agent.append("first", Durable).await.says_durable().await;
    world.tombstone_in_s3_only(first_stream, 1).await;
    // The next stream's first slot is taken as well, before anything is in it.
    let held = agent.view.hold(0);
    let second = agent.append("second", Durable).await;
    let between = agent.left(first_stream).await;
    held.arrived().await;
    world.tombstone_in_s3_only(between, 0).await;
    held.release();
    let third_stream = agent.left(between).await;
    second.says_durable().await;
    world.event(third_stream, 0).await;
    world.event(between, 0).await;
    world.event(first_stream, 0).await;
    assert_eq!(world.row(between).await.end_seq, Some(SlotSeq(0)));
    assert_eq!(world.log().await, ["first", "second"]);
}

/// (5); that a stream has its row before its first PUT is asked at every PUT of every test here.
#[tokio::test(start_paused = true)]
async fn a_dead_agents_second_stream_is_known_and_what_was_acked_on_it_commits() {
    let world = World::new().await;
    let mut agent = world.agent().await;
    let stream = agent.stream();
    world.tombstone_in_s3_only(stream, 0).await;
    let told = agent.append("first", Durable).await;
    let next = agent.left(stream).await;
    told.says_durable().await;
    // The agent is never heard of again, and no event came. Two passes of the sweep find all of it.
    world.sweep().await;
    world.sweep().await;
    assert_eq!(world.log().await, ["first"]);
    assert_eq!(world.row(next).await.end_seq, Some(SlotSeq(1)));
}

/// (6)
#[tokio::test(start_paused = true)]
async fn a_sleeper_that_wakes_after_years_still_meets_the_end_of_its_stream() {
    let world = World::new().await;
    let mut agent = world.agent().await;
    let stream = agent.stream();
    agent.append("before", Durable).await.says_durable().await;
    let held = agent.view.hold(1);
    let told = agent.append("asleep", Durable).await;
    held.arrived().await;
    for _ in 0..3 {
        world.sweep().await;
        sleep(Duration::from_secs(365 * 86400)).await;
    }
    assert_eq!(world.row(stream).await.end_seq, Some(SlotSeq(1)));
    assert_eq!(scripted::kind(&world.object(stream, 1).await), Kind::Tombstone);
    held.release();
    let next = agent.left(stream).await;
    told.says_durable().await;
    world.event(next, 0).await;
    assert_eq!(world.log().await, ["before", "asleep"]);
}

/// (7)
#[tokio::test(start_paused = true)]
async fn the_row_says_that_a_stream_has_ended_only_after_s3_does() {
    let world = World::new().await;
    let agent = world.agent().await;
    let stream = agent.stream();
    let agents_put = agent.view.hold(0);
    let told = agent.append("first", Durable).await;
    agents_put.arrived().await;
    world.sweep().await;
    // The sweep's tombstone is on its way, and the agent's PUT, which was earlier, beats it.
    let sweeps_put = world.view.hold(0);
    let sweep = world.sweep();
    let overtaken = async {
        sweeps_put.arrived().await;
        assert_eq!(world.row(stream).await.end_seq, None, "S3 first, then the row");
        agents_put.release();
        told.says_durable().await;
        sweeps_put.release();
    };
    tokio::join!(sweep, overtaken);
    assert_eq!(world.row(stream).await.end_seq, None);
    world.event(stream, 0).await;
    agent.append("second", Durable).await.says_durable().await;
    world.event(stream, 1).await;
    assert_eq!(world.log().await, ["first", "second"]);
    assert_eq!(agent.stream(), stream, "nothing was lost");
}

/// (8)
#[tokio::test(start_paused = true)]
async fn a_tombstone_on_a_key_that_merging_had_freed_ends_nothing() {
    let world = World::new().await;
    let agent = world.agent().await;
    let stream = agent.stream();
    world.sweep().await;
    let sweeps_put = world.view.hold(0);
    let lost_answer = agent.view.lose_answer(0);
    let meanwhile = async {
        // The sweep has seen that slot 0 is free. While its tombstone is on its way, slot 0 lands, commits, is merged and
        // deleted; then the tombstone takes the key.
        sweeps_put.arrived().await;
        let told = agent.append("first", Committed).await;
        lost_answer.arrived().await;
        world.event(stream, 0).await;
        world.bucket.delete(&slot_key(slot(stream, 0))).await.unwrap();
        sweeps_put.release();
        told
    };
    let ((), told) = tokio::join!(world.sweep(), meanwhile);
    assert_eq!(scripted::kind(&world.object(stream, 0).await), Kind::Tombstone);
    assert_eq!(world.row(stream).await.end_seq, None);
    // The agent finds a stranger's tombstone in its slot, asks the row, and learns that the slot was its own.
    lost_answer.release();
    told.says_committed_at(0).await;
    let second = agent.append("second", Durable).await;
    second.says_durable().await;
    assert_eq!(agent.stream(), stream, "the stream goes on");
    world.event(stream, 1).await;
    assert_eq!(world.end_of_log().await, 2, "each is there once");
}

/// (9)
#[tokio::test(start_paused = true)]
async fn an_agents_own_tombstone_waits_for_the_slots_before_it() {
    let world = World::new().await;
    let mut agent = world.agent().await;
    let stream = agent.stream();
    let held = agent.view.hold(0);
    let first = agent.append("first", Durable).await;
    agent.view.refuse_data(1);
    let mut second = agent.append("second", Durable).await;
    held.arrived().await;
    // Long enough for the agent to give slot 1 up and end the stream there itself.
    sleep(Duration::from_secs(120)).await;
    assert_eq!(world.slots_in_s3(stream).await, [1]);
    assert_eq!(scripted::kind(&world.object(stream, 1).await), Kind::Tombstone);
    second.says_nothing().await;
    assert_eq!(agent.stream(), stream, "slot 0 is not decided yet");
    held.release();
    first.says_durable().await;
    let next = agent.left(stream).await;
    second.says_durable().await;
    world.event(next, 0).await;
    assert_eq!(world.log().await, ["first", "second"]);
    assert_eq!(world.row(stream).await.end_seq, Some(SlotSeq(1)));
}
