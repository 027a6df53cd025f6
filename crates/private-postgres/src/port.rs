//! Ports for servers that somebody starts a moment later.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections (32768 and up on Linux): one of those could take a port
/// between our look and the server's start.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

/// A TCP port that is free on all interfaces. No two calls in a process get the same one (before 16,000 calls), and
/// processes that run at once start to look at different places.
pub fn free_port() -> io::Result<u16> {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(RandomState::new().hash_one(std::process::id()) as u16));
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..COUNT {
        let port = FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT;
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_handed_out_once_and_are_free() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let different: std::collections::HashSet<u16> = ports.iter().copied().collect();
        assert_eq!(different.len(), 50);
        assert!(ports.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)));
    }
}
