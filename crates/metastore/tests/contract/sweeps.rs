//! Which streams count as dead.

use metastore::{DeadStream, NewAgent};
use types::{NodeId, SlotSeq, StreamId};
use uuid::Uuid;

use crate::cluster::slot;
use crate::world::World;

const GRACE_MS: i64 = 10_000;

impl World {
    async fn dead(&self, streams_max: i64) -> Vec<DeadStream> {
        self.metastore.dead_streams(GRACE_MS, streams_max).await.unwrap()
    }

    async fn note(&self, stream: StreamId, seq: u64) {
        self.metastore.note_swept(stream, SlotSeq(seq)).await.unwrap();
    }
}

fn agent(stream: StreamId) -> NewAgent {
    NewAgent {
        node_id: Some(NodeId(0)),
        incarnation: Uuid::new_v4(),
        stream: Some(stream),
        host: "localhost".to_owned(),
        port: 9092,
        rack: String::new(),
        cache_url: String::new(),
        peer_address: String::new(),
        listeners: Vec::new(),
    }
}

fn dead(stream: StreamId, next_seq: u64, stood_still: bool) -> DeadStream {
    DeadStream {
        stream,
        next_seq: SlotSeq(next_seq),
        stood_still,
    }
}

pub(crate) async fn a_stream_stands_still_once_a_pass_a_grace_ago_saw_its_gate_where_it_is(world: World) {
    let stream = world.stream().await;
    assert_eq!(world.dead(9).await, []);
    world.pass_ms(10_001).await;
    assert_eq!(world.dead(9).await, [dead(stream, 0, false)]);

    world.note(stream, 0).await;
    world.pass_ms(6_000).await;
    // Seen again too soon; the time of the first such pass stays.
    world.note(stream, 0).await;
    assert_eq!(world.dead(9).await, [dead(stream, 0, false)]);
    world.pass_ms(4_001).await;
    assert_eq!(world.dead(9).await, [dead(stream, 0, true)]);

    // A gate that moved begins anew, and a stream that ended is none of the sweep's business.
    world.commit(vec![world.footer(slot(stream, 0), &[])]).await;
    assert_eq!(world.dead(9).await, [dead(stream, 1, false)]);
    world.commit(vec![world.tombstone(slot(stream, 1))]).await;
    assert_eq!(world.dead(9).await, []);
}

pub(crate) async fn a_lease_keeps_its_stream_from_the_dead_until_it_has_run_out(world: World) {
    let stream = world.stream().await;
    world.pass_ms(10_001).await;
    world.metastore.take_lease(&agent(stream), 5_000).await.unwrap();
    assert_eq!(world.dead(9).await, []);
    world.pass_ms(5_000).await;
    assert_eq!(world.dead(9).await, [dead(stream, 0, false)]);
}

pub(crate) async fn a_lease_that_comes_back_makes_the_sweep_forget_what_it_saw(world: World) {
    let stream = world.stream().await;
    let agent = agent(stream);
    world.metastore.take_lease(&agent, 5_000).await.unwrap();
    world.pass_ms(10_001).await;
    world.note(stream, 0).await;
    let renew = async |ttl_ms| {
        let renewed = world
            .metastore
            .renew_lease(NodeId(0), agent.incarnation, Some(stream), ttl_ms);
        assert!(renewed.await.unwrap());
    };
    renew(5_000).await;
    world.pass_ms(10_001).await;
    assert_eq!(world.dead(9).await, [dead(stream, 0, false)], "it lived in between");

    // A lease that never ran out has nothing to be forgotten.
    renew(60_000).await;
    world.note(stream, 0).await;
    renew(5_000).await;
    world.pass_ms(10_001).await;
    assert_eq!(world.dead(9).await, [dead(stream, 0, true)]);
}

pub(crate) async fn streams_that_stood_longest_come_last_and_those_not_looked_at_first(world: World) {
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(world.stream().await);
    }
    for stream in [streams[1], streams[0], streams[3]] {
        world.note(stream, 0).await;
        world.pass_ms(10_001).await;
    }
    let order: Vec<StreamId> = world.dead(3).await.iter().map(|dead| dead.stream).collect();
    assert_eq!(order, [streams[2], streams[3], streams[0]]);
}
