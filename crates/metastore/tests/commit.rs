//! The commit transaction on a real Postgres.

mod commit_support;

use commit::BatchOutcome::Appended;
use commit::invoke::SlotResult;
use commit_support::{Cluster, batch, records_of, slot};
use types::Offset;

#[tokio::test]
async fn a_slot_is_committed_once_and_told_the_same_every_time() {
    let cluster = Cluster::new().await;
    let topic = cluster.topic("t", 2).await;
    let first = slot(cluster.stream().await, 0);
    let batches = [batch(&topic, 0, 3), batch(&topic, 0, 2), batch(&topic, 1, 4)];
    let footer = cluster.put(first, &batches).await;
    let outcomes = vec![Appended(Offset(0)), Appended(Offset(3)), Appended(Offset(0))];
    for _ in 0..2 {
        let results = cluster.committer.commit(vec![footer.clone()]).await.unwrap();
        assert_eq!(results[&first], SlotResult::Committed(outcomes.clone()));
    }
    for partition in 0..2 {
        assert_eq!(cluster.log(&topic, partition).await, records_of(&batches, partition));
    }
    assert_eq!(cluster.metastore.slot_outcomes(first).await.unwrap(), Some(outcomes));
}
