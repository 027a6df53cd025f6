//! Damaged requests of every API and version: no crash, no growth of memory, and the next client is served.

mod harness;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::dispatch::{APIS, find};
use agent::wire_shape::{RequestHeader, walk};
use bytes::Bytes;
use harness::random_request::{random_body, random_frame};
use harness::{Server, framed, limits, memory_kib, request};
use kafka_protocol::messages::RequestKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;

/// Frames read, walked and decoded in this process.
const DECODED_FRAMES: u64 = 100_000;
/// Frames sent to a server, most of which end their connection.
const SENT_FRAMES: u64 = 3_000;
/// What all of them together may take: far less than one hostile length asks for.
const GROWTH_KIB_MAX: u64 = 256 * 1024;

/// Numbers that ask for much.
const EXTREMES: [[u8; 5]; 5] = [
    [0x7f, 0xff, 0xff, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x80, 0x00, 0x00, 0x00, 0x00],
    [0x00, 0xff, 0xff, 0xff, 0x7f],
    [0x05, 0xff, 0xff, 0x7f, 0xff],
];

/// The frame of this seed: APIs and versions in turn, one to four damages each.
fn mutated_frame(seed: u64) -> Vec<u8> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let api = &APIS[(seed as usize) % APIS.len()];
    let version = rng.random_range(api.served_min..=api.advertised.max);
    let mut frame = random_frame(api, version, rng);
    for _ in 0..rng.random_range(1..=4) {
        mutate(&mut frame, rng);
    }
    frame
}

fn mutate(frame: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..=frame.len());
    match rng.random_range(0..6) {
        0 => frame.truncate(at),
        1 => frame.insert(at, rng.random()),
        2 => frame.extend((0..rng.random_range(1..50)).map(|_| rng.random::<u8>())),
        3 if at < frame.len() => frame[at] ^= 1 << rng.random_range(0..8),
        4 if at < frame.len() => drop(frame.remove(at)),
        _ => {
            let extreme = EXTREMES[rng.random_range(0..EXTREMES.len())];
            let end = frame.len().min(at + extreme.len());
            frame[at..end].copy_from_slice(&extreme[..end - at]);
        }
    }
}

/// What a connection does with a frame, up to the handler. Whether it got there.
fn take_apart(frame: &[u8]) -> bool {
    let Ok(header) = RequestHeader::fixed_part(frame) else {
        return false;
    };
    let Some(api) = find(header.api_key).filter(|api| api.serves(header.api_version)) else {
        return false;
    };
    let version = header.api_version;
    let Ok(header) = header.with_client(api.is_flexible(version)) else {
        return false;
    };
    let mut body = Bytes::copy_from_slice(&frame[header.body_start..]);
    walk(api.shape, version, &body).is_ok() && RequestKind::decode(api.key, &mut body, version).is_ok()
}

#[test]
fn damaged_frames_neither_crash_nor_take_memory() {
    let (resident, reserved) = (memory_kib("VmHWM"), memory_kib("VmPeak"));
    let decoded = (0..DECODED_FRAMES)
        .filter(|seed| take_apart(&mutated_frame(*seed)))
        .count();
    let resident = memory_kib("VmHWM") - resident;
    let reserved = memory_kib("VmPeak") - reserved;
    println!("{decoded} of {DECODED_FRAMES} decoded, {resident} KiB resident, {reserved} KiB reserved");
    assert!(resident < GROWTH_KIB_MAX, "{resident} KiB");
    assert!(reserved < 4 * GROWTH_KIB_MAX, "{reserved} KiB");
    assert!(
        decoded > 1000 && decoded < DECODED_FRAMES as usize / 2,
        "{decoded}: the damage is not what it should be"
    );
}

/// Clients come and go without waiting: what their requests ask for goes on behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_frames_leave_the_server_serving() {
    let panics = count_panics();
    let before = memory_kib("VmHWM");
    let server = Server::start(limits()).await;
    for seed in 0..SENT_FRAMES {
        let mut client = server.connect().await;
        // The server may close before it has read all.
        let _ = client.0.write_all(&framed(&mutated_frame(seed))).await;
        if seed % 100 == 0 {
            assert_next_clients_are_told_apart(&server).await;
        }
    }
    server.assert_serves().await;
    server.stop().await;
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    let grown = memory_kib("VmHWM") - before;
    println!("{grown} KiB resident for {SENT_FRAMES} frames");
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
}

async fn assert_next_clients_are_told_apart(server: &Server) {
    server.assert_serves().await;
    let mut liar = server.connect().await;
    liar.send(&[0xff; 4]).await;
    liar.assert_closed().await;
}

#[tokio::test]
async fn whole_requests_of_every_api_and_version_do_not_end_the_server() {
    let server = Server::start(limits()).await;
    for api in APIS {
        for version in api.served_min..=api.advertised.max {
            let body = random_body(api, version, &mut StdRng::seed_from_u64(3));
            let mut client = server.connect().await;
            client.send(&request(api.key as i16, version, 1, &body)).await;
        }
    }
    server.assert_serves().await;
    server.stop().await;
}

fn count_panics() -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        counting.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    count
}
