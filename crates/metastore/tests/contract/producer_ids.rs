//! Ids of idempotent producers.

use std::collections::BTreeSet;

use futures::future::join_all;

use crate::world::World;

pub(crate) async fn producer_ids_are_never_handed_out_twice(world: World) {
    let metastore = world.metastore.clone();
    let ids = join_all((0..50).map(|_| metastore.allocate_producer_id())).await;
    let distinct: BTreeSet<_> = ids.into_iter().map(Result::unwrap).collect();
    assert_eq!(distinct.len(), 50);
    assert!(distinct.iter().all(|id| id.0 > 0));
}
