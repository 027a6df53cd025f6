//! One address for many agents, as nginx or a network load balancer is: each connection goes to the next agent that answers.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A running proxy; it ends with the process.
pub(crate) struct Proxy {
    port: u16,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let targets: Arc<Mutex<Vec<String>>> = Arc::default();
        let known = Arc::clone(&targets);
        std::thread::spawn(move || {
            let next = AtomicUsize::new(0);
            for client in listener.incoming().flatten() {
                let targets = known.lock().unwrap().clone();
                forward(client, &targets, next.fetch_add(1, Ordering::Relaxed));
            }
        });
        Self { port, targets }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn forward_to(&self, targets: &[String]) {
        targets.clone_into(&mut self.targets.lock().unwrap());
    }
}

fn forward(client: TcpStream, targets: &[String], first: usize) {
    let turns = targets
        .iter()
        .cycle()
        .skip(first % targets.len().max(1))
        .take(targets.len());
    let Some(agent) = turns.filter_map(|target| TcpStream::connect(target).ok()).next() else {
        return;
    };
    for (mut from, mut to) in [
        (client.try_clone().unwrap(), agent.try_clone().unwrap()),
        (agent, client),
    ] {
        std::thread::spawn(move || {
            // Either side may go at any time.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
            let _ = from.shutdown(std::net::Shutdown::Both);
        });
    }
}
