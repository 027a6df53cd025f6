//! What a connection costs that does nothing. Alone in its process: other tests' memory would be counted too.

mod harness;
mod support;

use harness::{Server, limits, memory_kib, request};

#[tokio::test]
async fn an_idle_connection_costs_less_than_8_kib() {
    const CONNECTIONS: u16 = 4000;
    daemon::raise_nofile_limit();
    let mut limits = limits();
    limits.connections_max = usize::from(CONNECTIONS) + 1;
    let server = Server::start(limits).await;
    server.assert_serves().await;
    let before = memory_kib("VmRSS");
    let mut clients = Vec::new();
    for id in 0..CONNECTIONS {
        let mut client = server.connect().await;
        client.send(&request(18, 0, id.into(), &[])).await;
        client.receive().await;
        clients.push(client);
    }
    let grown = memory_kib("VmRSS").saturating_sub(before);
    println!("{grown} KiB for {CONNECTIONS} connections and their clients");
    assert!(grown < 8 * u64::from(CONNECTIONS), "{grown} KiB");
}
