//! Leases: who holds a node id, and until when.

use metastore::{LeaseError, Metastore, MetastoreError, NewAgent};
use types::{NodeId, StreamId};
use uuid::Uuid;

use crate::world::World;

const TTL_MS: u64 = 60_000;
/// A lease that has run out by the next statement.
const NO_TTL_MS: u64 = 0;

fn agent(node_id: Option<i32>) -> NewAgent {
    NewAgent {
        node_id: node_id.map(NodeId),
        incarnation: Uuid::new_v4(),
        stream: None,
        host: "localhost".to_owned(),
        port: 9092,
        rack: "zone-a".to_owned(),
        cache_url: String::new(),
        peer_address: "10.0.0.7:9092".to_owned(),
        listeners: vec!["EXTERNAL://[::1]:9092".parse().unwrap()],
    }
}

async fn live(metastore: &Metastore) -> Vec<i32> {
    metastore
        .live_agents()
        .await
        .expect("it answers")
        .into_iter()
        .map(|agent| agent.node_id.0)
        .collect()
}

pub(crate) async fn a_live_lease_refuses_another_agent_and_names_its_holder(world: World) {
    let metastore = world.metastore.clone();
    let holder = agent(Some(0));
    assert_eq!(metastore.take_lease(&holder, TTL_MS).await.unwrap(), NodeId(0));
    let refused = metastore.take_lease(&agent(Some(0)), TTL_MS).await.unwrap_err();
    assert!(
        matches!(&refused, LeaseError::Taken(by) if by.port == 9092),
        "{refused}"
    );
    assert_eq!(
        refused.to_string(),
        "node id 0 is taken by localhost:9092; set YAKS_NODE_ID=auto or another id"
    );
    assert_eq!(metastore.take_lease(&holder, TTL_MS).await.unwrap(), NodeId(0));
}

pub(crate) async fn a_lease_that_ran_out_can_be_taken_and_is_lost_to_its_old_holder(world: World) {
    let metastore = world.metastore.clone();
    let (old, new) = (agent(Some(3)), agent(Some(3)));
    metastore.take_lease(&old, NO_TTL_MS).await.unwrap();
    assert!(live(&metastore).await.is_empty());
    metastore.take_lease(&new, TTL_MS).await.unwrap();
    assert!(
        !metastore
            .renew_lease(NodeId(3), old.incarnation, None, TTL_MS)
            .await
            .unwrap()
    );
    metastore.release_lease(NodeId(3), old.incarnation).await.unwrap();
    assert_eq!(live(&metastore).await, [3]);
    metastore.release_lease(NodeId(3), new.incarnation).await.unwrap();
    assert!(live(&metastore).await.is_empty());
}

pub(crate) async fn a_renewed_lease_lives_on_and_names_its_stream(world: World) {
    let metastore = world.metastore.clone();
    let agent = agent(Some(1));
    metastore.take_lease(&agent, NO_TTL_MS).await.unwrap();
    let stream = StreamId(Uuid::now_v7());
    metastore.open_stream(stream, NodeId(1)).await.unwrap();
    assert!(
        metastore
            .renew_lease(NodeId(1), agent.incarnation, Some(stream), TTL_MS)
            .await
            .unwrap()
    );
    assert_eq!(live(&metastore).await, [1]);
}

pub(crate) async fn agents_without_an_id_get_the_lowest_free_ones(world: World) {
    let metastore = world.metastore.clone();
    metastore.take_lease(&agent(Some(1)), TTL_MS).await.unwrap();
    metastore.take_lease(&agent(Some(0)), NO_TTL_MS).await.unwrap();
    let wanting: Vec<NewAgent> = (0..6).map(|_| agent(None)).collect();
    let taken = futures::future::join_all(wanting.iter().map(|agent| metastore.take_lease(agent, TTL_MS))).await;
    let mut taken: Vec<i32> = taken.into_iter().map(|node| node.unwrap().0).collect();
    taken.sort_unstable();
    assert_eq!(taken, [0, 2, 3, 4, 5, 6]);
    let shown = metastore.live_agents().await.unwrap().remove(0);
    assert_eq!(
        (shown.rack.as_str(), shown.peer_address.as_str()),
        ("zone-a", "10.0.0.7:9092")
    );
    assert_eq!(shown.listeners, agent(None).listeners);
}

pub(crate) async fn a_lease_runs_out_unless_it_is_renewed(world: World) {
    let agent = agent(Some(0));
    world.metastore.take_lease(&agent, TTL_MS).await.unwrap();
    world.pass_ms(40_000).await;
    let renew = world.metastore.renew_lease(NodeId(0), agent.incarnation, None, TTL_MS);
    assert!(renew.await.unwrap());
    world.pass_ms(40_000).await;
    assert_eq!(live(&world.metastore).await, [0]);
    world.pass_ms(20_000).await;
    assert_eq!(live(&world.metastore).await, [] as [i32; 0]);
    // Nobody took it meanwhile: it is still ours.
    let renew = world.metastore.renew_lease(NodeId(0), agent.incarnation, None, TTL_MS);
    assert!(renew.await.unwrap());
    assert_eq!(live(&world.metastore).await, [0]);
}

pub(crate) async fn a_lease_names_no_stream_that_has_no_row(world: World) {
    let agent = NewAgent {
        stream: Some(StreamId(Uuid::now_v7())),
        ..agent(Some(0))
    };
    let refused = world.metastore.take_lease(&agent, TTL_MS).await.unwrap_err();
    assert!(
        matches!(refused, LeaseError::Metastore(MetastoreError::Internal(_))),
        "{refused}"
    );
    let agent = NewAgent { stream: None, ..agent };
    world.metastore.take_lease(&agent, TTL_MS).await.unwrap();
    let nobodys = Some(StreamId(Uuid::now_v7()));
    let renew = world
        .metastore
        .renew_lease(NodeId(0), agent.incarnation, nobodys, TTL_MS);
    assert!(matches!(renew.await, Err(MetastoreError::Internal(_))));
}
