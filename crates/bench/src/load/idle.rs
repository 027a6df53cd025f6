//! The load that does nothing: connections that have said hello and then are silent.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::TargetFlags;
use crate::probe::Reading;
use crate::report::{Phase, Report};

/// File descriptors for all else.
const FILES_BESIDE: u64 = 200;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// ApiVersions, version 0, without a client id: what every client of Kafka begins with.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// Opens `connections`, keeps them silent for `time` and tells what they cost.
pub fn idle(target: &TargetFlags, connections: u64, time: Duration) -> Result<Report> {
    allow_connections(connections)?;
    let broker = target.brokers.split(',').next().unwrap_or_default();
    let probes = target.probes();
    let mut held = Vec::new();
    for number in 0..connections {
        let connection = connect(broker).with_context(|| format!("connection {number} to {broker}"))?;
        held.push(connection);
    }
    let before = probes.begin()?;
    std::thread::sleep(time);
    let after = probes.read()?;
    let closed = held.iter().filter(|connection| is_closed(connection)).count() as u64;
    let errors = (closed > 0).then(|| ("closed by the broker".to_owned(), closed));
    Ok(Report {
        load: format!("{connections} idle connections"),
        brokers: target.brokers.clone(),
        failed: closed,
        errors: errors.into_iter().collect(),
        ..report(&before, &after, 0)
    })
}

/// One phase, in which so many bytes were read.
pub(super) fn report(before: &Reading, after: &Reading, bytes: u64) -> Report {
    Report {
        load: String::new(),
        brokers: String::new(),
        topic: String::new(),
        phases: vec![Phase {
            name: "measured".to_owned(),
            seconds: before.until(after).as_secs_f64(),
            costs: before.costs(after, bytes),
            produced: None,
            consumed: None,
            ack: None,
            end_to_end: None,
            requests_in_flight: None,
        }],
        failed: 0,
        errors: BTreeMap::new(),
    }
}

pub(super) fn connect(broker: &str) -> Result<TcpStream> {
    let address = broker.to_socket_addrs()?.next().context("it has no address")?;
    let mut connection = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    connection.write_all(&API_VERSIONS)?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    ensure!(length <= ANSWER_BYTES_MAX, "its answer is not Kafka's");
    connection.read_exact(&mut vec![0; length])?;
    Ok(connection)
}

/// Nothing was asked for, so that all there can be to read is the end.
fn is_closed(connection: &TcpStream) -> bool {
    let nothing_yet = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    connection.set_nonblocking(true).is_err() || !connection.peek(&mut [0]).is_err_and(nothing_yet)
}

/// Raises this process's limit of open files, if it must.
pub(super) fn allow_connections(connections: u64) -> Result<()> {
    let wanted = connections + FILES_BESIDE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum.map(|maximum| maximum.max(wanted)),
    };
    setrlimit(Resource::Nofile, raised).with_context(|| format!("{wanted} open files are not allowed (ulimit -n)"))
}
