//! Hints that something was committed.

use metastore::CommitHints;

use crate::cluster::slot;
use crate::world::World;

pub(crate) async fn whoever_waits_for_commits_is_told_of_new_ones_only(cluster: World) {
    let mut hints = CommitHints::listen(&cluster.metastore);
    // Heard only once it listens: sent until then.
    let sent = async {
        loop {
            cluster.metastore.notify_commit("ready").await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ready = hints.recv() => assert_eq!(ready, "ready"),
        () = sent => {}
    }
    let end = cluster.tombstone(slot(cluster.stream().await, 0));
    for _ in 0..2 {
        cluster.commit(vec![end.clone()]).await;
    }
    cluster.metastore.notify_commit("last").await.unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|hint| hint != "last") {
        heard.push(hints.recv().await);
    }
    heard.retain(|hint| hint != "ready");
    assert_eq!(heard, ["", "last"]);
}
