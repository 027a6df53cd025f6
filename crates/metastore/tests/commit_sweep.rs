//! Which streams count as dead, on a real Postgres; time is moved by moving the rows' times back.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod commit_support;

use commit_support::{Cluster, slot};
use metastore::{DeadStream, NewAgent};
use sqlx::PgPool;
use types::{NodeId, SlotSeq, StreamId};
use uuid::Uuid;

const GRACE_MS: i64 = 10_000;

struct Fixture {
    cluster: Cluster,
    raw: PgPool,
}

impl Fixture {
    async fn new() -> Self {
        let cluster = Cluster::new().await;
        let raw = PgPool::connect(&cluster.url()).await.unwrap();
        Self { cluster, raw }
    }

    async fn dead(&self, streams_max: i64) -> Vec<DeadStream> {
        self.cluster
            .metastore
            .dead_streams(GRACE_MS, streams_max)
            .await
            .unwrap()
    }

    /// Lets so many ms pass for every stream.
    async fn pass_ms(&self, ms: f64) {
        let statement = "UPDATE streams SET opened_at = opened_at - make_interval(secs => $1 / 1000), \
                                            swept_at = swept_at - make_interval(secs => $1 / 1000)";
        sqlx::query(statement).bind(ms).execute(&self.raw).await.unwrap();
    }

    async fn note(&self, stream: StreamId, seq: u64) {
        self.cluster.metastore.note_swept(stream, SlotSeq(seq)).await.unwrap();
    }
}

fn dead(stream: StreamId, next_seq: u64, stood_still: bool) -> DeadStream {
    DeadStream {
        stream,
        next_seq: SlotSeq(next_seq),
        stood_still,
    }
}

#[tokio::test]
async fn a_stream_stands_still_once_a_pass_a_grace_ago_saw_its_gate_where_it_is() {
    let fixture = Fixture::new().await;
    let stream = fixture.cluster.stream().await;
    assert_eq!(fixture.dead(9).await, []);
    fixture.pass_ms(10_001.0).await;
    assert_eq!(fixture.dead(9).await, [dead(stream, 0, false)]);

    fixture.note(stream, 0).await;
    fixture.pass_ms(6_000.0).await;
    // Seen again too soon; the time of the first such pass stays.
    fixture.note(stream, 0).await;
    assert_eq!(fixture.dead(9).await, [dead(stream, 0, false)]);
    fixture.pass_ms(4_001.0).await;
    assert_eq!(fixture.dead(9).await, [dead(stream, 0, true)]);

    // A gate that moved begins anew, and a stream that ended is none of the sweep's business.
    fixture
        .cluster
        .commit(vec![fixture.cluster.footer(slot(stream, 0), &[])])
        .await;
    assert_eq!(fixture.dead(9).await, [dead(stream, 1, false)]);
    fixture
        .cluster
        .commit(vec![fixture.cluster.tombstone(slot(stream, 1))])
        .await;
    assert_eq!(fixture.dead(9).await, []);
}

#[tokio::test]
async fn a_lease_keeps_its_stream_from_the_dead_until_it_has_run_out() {
    let fixture = Fixture::new().await;
    let stream = fixture.cluster.stream().await;
    fixture.pass_ms(10_001.0).await;
    let agent = NewAgent {
        node_id: Some(NodeId(0)),
        incarnation: Uuid::new_v4(),
        stream: Some(stream),
        host: "localhost".to_owned(),
        port: 9092,
        rack: String::new(),
        cache_url: String::new(),
    };
    fixture.cluster.metastore.take_lease(&agent, 5_000).await.unwrap();
    assert_eq!(fixture.dead(9).await, []);
    sqlx::query("UPDATE agents SET lease_expires_at = now()")
        .execute(&fixture.raw)
        .await
        .unwrap();
    assert_eq!(fixture.dead(9).await, [dead(stream, 0, false)]);
}

#[tokio::test]
async fn streams_that_stood_longest_come_last_and_those_not_looked_at_first() {
    let fixture = Fixture::new().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(fixture.cluster.stream().await);
    }
    for stream in [streams[1], streams[0], streams[3]] {
        fixture.note(stream, 0).await;
        fixture.pass_ms(10_001.0).await;
    }
    let order: Vec<StreamId> = fixture.dead(3).await.iter().map(|dead| dead.stream).collect();
    assert_eq!(order, [streams[2], streams[3], streams[0]]);
}
