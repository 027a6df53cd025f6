//! Many connections that fetch: each at an easy pace, or each as much as it can get, without reading a byte of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::idle::{ANSWER_BYTES_MAX, allow_connections, connect, report};
use crate::config::TargetFlags;
use crate::probe::Probes;
use crate::report::Report;

/// A connection's thread only sends and receives.
const STACK_BYTES: usize = 64 << 10;
/// How often each busy connection fetches, and how much.
const PACE: Duration = Duration::from_secs(1);
const BUSY_BYTES: i32 = 64 << 10;
/// What a slow reader asks for: the default of a consumer.
const SLOW_BYTES: i32 = 50 << 20;
/// An answer may wait for memory.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
const FETCH: i16 = 1;
const FETCH_VERSION: i16 = 4;

/// `connections` that each read 64 KiB of `topic` a second, for `time`.
pub fn busy(target: &TargetFlags, topic: &str, partitions: i32, connections: u64, time: Duration) -> Result<Report> {
    let held = open(target, connections)?;
    let all = Tally::default();
    let tally = &all;
    let measured = std::thread::scope(|scope| {
        let start = |(n, connection): (i32, TcpStream)| {
            let request = fetch(topic, &[n % partitions], BUSY_BYTES);
            // Not all in the same moment.
            let begin = PACE.mul_f64(f64::from(n % 100) / 100.0);
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let read = move || read_at_ease(connection, &request, begin, tally);
            thread.spawn_scoped(scope, read).map(drop)
        };
        let started: std::io::Result<()> = (0..).zip(held).try_for_each(start);
        let measured = started.map_err(Into::into).and_then(|()| {
            let probes = target.probes();
            measured(&probes, time, || tally.bytes.load(Ordering::Relaxed))
        });
        tally.over.store(true, Ordering::Relaxed);
        measured
    });
    let mut report = named(measured?, target, topic, format!("{connections} busy connections"));
    report.failed = all.failures.into_inner();
    if report.failed > 0 {
        report.errors.insert("closed by the broker".to_owned(), report.failed);
    }
    ensure!(all.bytes.into_inner() > 0, "nothing was read");
    Ok(report)
}

/// What all readers of a crowd did.
#[derive(Debug, Default)]
struct Tally {
    over: AtomicBool,
    bytes: AtomicU64,
    failures: AtomicU64,
}

fn read_at_ease(mut connection: TcpStream, request: &[u8], begin: Duration, tally: &Tally) {
    std::thread::sleep(begin);
    while !tally.over.load(Ordering::Relaxed) {
        let due = Instant::now() + PACE;
        let Ok(bytes) = ask(&mut connection, request) else {
            tally.failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        tally.bytes.fetch_add(bytes, Ordering::Relaxed);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// `connections` that each ask for 50 MiB of `topic` and read nothing, for `time`. That the broker closes some of them is no failure.
pub fn slow(target: &TargetFlags, topic: &str, partitions: i32, connections: u64, time: Duration) -> Result<Report> {
    let mut held = open(target, connections)?;
    let probes = target.probes();
    let wanted: Vec<i32> = (0..partitions).collect();
    let request = fetch(topic, &wanted, SLOW_BYTES);
    let before = probes.begin()?;
    for connection in &mut held {
        connection.write_all(&request)?;
    }
    std::thread::sleep(time);
    let after = probes.read()?;
    let closed = held.iter().filter(|connection| !has_answer(connection)).count() as u64;
    let found = report(&before, &after, 0);
    let mut report = named(found, target, topic, format!("{connections} slow readers"));
    if closed > 0 {
        report.errors.insert("without an answer, or closed".to_owned(), closed);
    }
    Ok(report)
}

fn named(report: Report, target: &TargetFlags, topic: &str, load: String) -> Report {
    Report {
        load,
        brokers: target.brokers.clone(),
        topic: topic.to_owned(),
        ..report
    }
}

fn open(target: &TargetFlags, connections: u64) -> Result<Vec<TcpStream>> {
    allow_connections(connections)?;
    let broker = target.brokers.split(',').next().unwrap_or_default();
    let connect = |number| {
        let connection = connect(broker).with_context(|| format!("connection {number} to {broker}"))?;
        connection.set_read_timeout(Some(FETCH_TIMEOUT))?;
        Ok(connection)
    };
    (0..connections).map(connect).collect()
}

fn measured(probes: &Probes, time: Duration, bytes: impl Fn() -> u64) -> Result<Report> {
    let before = probes.begin()?;
    let bytes_before = bytes();
    std::thread::sleep(time);
    let after = probes.read()?;
    Ok(report(&before, &after, bytes() - bytes_before))
}

/// Sends a request and throws its answer away; how many bytes it had.
fn ask(connection: &mut TcpStream, request: &[u8]) -> Result<u64> {
    connection.write_all(request)?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    ensure!(
        length <= ANSWER_BYTES_MAX,
        "its answer is larger than what was asked for"
    );
    connection.read_exact(&mut vec![0; length])?;
    Ok(length as u64)
}

/// Some of an answer has come.
fn has_answer(connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).is_ok() && matches!(connection.peek(&mut [0]), Ok(1))
}

/// Fetch of the beginning of these partitions, without waiting for more than there is.
fn fetch(topic: &str, partitions: &[i32], bytes_max: i32) -> Vec<u8> {
    let mut body = Vec::new();
    let header: [&[u8]; 4] = [
        &FETCH.to_be_bytes(),
        &FETCH_VERSION.to_be_bytes(),
        &1_i32.to_be_bytes(),    // correlation id
        &(-1_i16).to_be_bytes(), // no client id
    ];
    body.extend(header.concat());
    body.extend((-1_i32).to_be_bytes()); // no replica
    body.extend(0_i32.to_be_bytes()); // longest wait
    body.extend(1_i32.to_be_bytes()); // fewest bytes
    body.extend(bytes_max.to_be_bytes());
    body.push(0); // isolation
    body.extend(1_i32.to_be_bytes());
    body.extend(i16::try_from(topic.len()).unwrap_or_default().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(i32::try_from(partitions.len()).unwrap_or_default().to_be_bytes());
    for partition in partitions {
        body.extend(partition.to_be_bytes());
        body.extend(0_i64.to_be_bytes());
        body.extend(bytes_max.min(1 << 20).to_be_bytes());
    }
    let length = u32::try_from(body.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], &body].concat()
}
