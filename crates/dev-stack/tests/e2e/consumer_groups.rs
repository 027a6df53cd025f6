//! Consumer groups of the new protocol (KIP-848) through librdkafka, alone and together with members of the classic one.

use rustix::process::Signal;

use crate::groups::{Scene, survives};
use crate::kafka::Settings;
use crate::members::{MODERN, Member, wait_until};
use crate::running::{Running, shared};

const SETTINGS: Settings<'static> = &[MODERN];
const RANGE: Settings<'static> = &[MODERN, ("group.remote.assignor", "range")];
const COOPERATIVE: Settings<'static> = &[("partition.assignment.strategy", "cooperative-sticky")];

fn share(members: &[&Member], each: usize) {
    wait_until("members share all partitions", || {
        members.iter().all(|member| member.assigned().len() == each)
    });
}

#[test]
fn members_of_the_new_protocol_share_all_partitions_and_go_on_where_others_stopped() {
    let mut scene = Scene::new(shared().kafka());
    let first = scene.member_with("first", SETTINGS);
    scene.settles();
    assert_eq!(first.assigned().len(), 6);
    let before = first.assigned();
    let second = scene.member_with("second", SETTINGS);
    share(&[&first, &second], 3);
    assert!(first.assigned().is_subset(&before), "what it need not give up it keeps");
    let third = scene.member_with("third", SETTINGS);
    share(&[&first, &second, &third], 2);
    scene.settles();
    drop(second);
    share(&[&first, &third], 3);
    scene.settles();
    drop((first, third));
    let last = scene.member_with("last", SETTINGS);
    scene.settles();
    drop(last);
    scene.is_sound();
}

#[test]
fn the_assignor_range_gives_out_neighbours() {
    let scene = Scene::new(shared().kafka());
    let members = ["a", "b"].map(|name| scene.member_with(name, RANGE));
    share(&[&members[0], &members[1]], 3);
    let mut halves = members.each_ref().map(Member::assigned);
    halves.sort();
    assert_eq!(halves, [[0, 1, 2].into(), [3, 4, 5].into()]);
    drop(members);
    scene.is_sound();
}

#[test]
fn members_of_the_new_protocol_survive_their_coordinator() {
    survives(SETTINGS, Running::kill_agent, Running::start_agent);
}

#[test]
fn a_frozen_coordinator_of_the_new_protocol_changes_nothing_when_it_wakes() {
    survives(
        SETTINGS,
        |stack, agent| stack.signal_agent(agent, Signal::STOP),
        |stack, agent| stack.signal_agent(agent, Signal::CONT),
    );
}

#[test]
fn a_group_moves_to_the_new_protocol_and_back_while_it_reads() {
    let mut scene = Scene::new(shared().kafka());
    let old = ["old a", "old b"].map(|name| scene.member_with(name, COOPERATIVE));
    share(&[&old[0], &old[1]], 3);
    scene.is_read();
    let [old_a, old_b] = old;
    let new_a = scene.member_with("new a", SETTINGS);
    share(&[&old_a, &old_b, &new_a], 2);
    scene.is_read();
    drop(old_a);
    share(&[&old_b, &new_a], 3);
    let new_b = scene.member_with("new b", SETTINGS);
    drop(old_b);
    share(&[&new_a, &new_b], 3);
    scene.is_read();
    let back = scene.member_with("back", COOPERATIVE);
    share(&[&back, &new_a, &new_b], 2);
    drop((new_a, new_b));
    share(&[&back], 6);
    scene.is_read();
    drop(back);
    scene.is_sound();
}
