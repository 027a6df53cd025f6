//! A Postgres that vanishes without a word, as in a failover: the packets of its connections go nowhere, and nobody closes them.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod support;

use metastore::{Metastore, MetastoreError, PostgresConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A way to `server` whose connections can be cut off in silence; new ones get through.
struct Way {
    port: u16,
    vanish: watch::Sender<()>,
}

impl Way {
    async fn to(server: &PostgresConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (vanish, vanished) = watch::channel(());
        let address = (server.host.clone(), server.port);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = TcpStream::connect(&address).await.unwrap();
                let mut vanished = vanished.clone();
                vanished.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = vanished.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, vanish }
    }
}

#[tokio::test]
async fn statements_end_and_their_places_are_free_again() {
    let server = support::config();
    Metastore::new(&server).migrate().await.unwrap();
    let way = Way::to(&server).await;
    let metastore = Metastore::new(&PostgresConfig {
        host: "127.0.0.1".to_owned(),
        port: way.port,
        pool_size: 2,
        ..server
    });
    tokio::try_join!(metastore.topics(), metastore.topics()).unwrap();

    way.vanish.send(()).unwrap();
    let (first, second) = tokio::join!(metastore.topics(), metastore.topics());
    for result in [first, second] {
        assert!(matches!(result, Err(MetastoreError::Unavailable(_))), "{result:?}");
    }
    // Both connections are gone, and so is nothing else.
    tokio::try_join!(metastore.topics(), metastore.topics()).unwrap();
}
