//! The connection layer as a client sees it, and the walker against `kafka-protocol`.

mod harness;
mod support;

use std::time::Duration;

use agent::dispatch::{APIS, find};
use agent::wire_shape::{tables, walk};
use bytes::{Bytes, BytesMut};
use harness::random_request::{random_body, random_frame};
use harness::{Server, framed, limits, memory_kib, request};
use kafka_protocol::messages::{ApiVersionsResponse, ProduceRequest, RequestKind};
use kafka_protocol::protocol::Decodable;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// ApiVersions' key: the one API that needs nothing behind the server.
const API_VERSIONS: i16 = 18;

#[test]
fn the_walker_covers_exactly_what_kafka_protocol_decodes_and_encodes() {
    for api in APIS {
        for version in api.served_min..=api.advertised.max {
            for seed in 0..200 {
                let name = format!("{} {version}, seed {seed}", api.name);
                let body = random_body(api, version, &mut StdRng::seed_from_u64(seed));
                assert_eq!(walk(api.shape, version, &body), Ok(body.len()), "{name}");
                let mut left = Bytes::from(body);
                let decoded =
                    RequestKind::decode(api.key, &mut left, version).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert!(left.is_empty(), "{name}");
                let mut encoded = BytesMut::new();
                decoded.encode(&mut encoded, version).unwrap();
                assert_eq!(walk(api.shape, version, &encoded), Ok(encoded.len()), "{name}");
            }
        }
    }
}

#[test]
fn nulls_of_every_api_are_walked_as_kafka_protocol_encodes_them() {
    for api in APIS {
        for version in api.served_min..=api.advertised.max {
            let all_zero = vec![0; 200];
            let Ok(walked) = walk(api.shape, version, &all_zero) else {
                continue;
            };
            let mut left = Bytes::from(all_zero);
            // Zeros are null or empty everywhere; where null is not allowed the decoder says so itself.
            if RequestKind::decode(api.key, &mut left, version).is_ok() {
                assert_eq!(walked, 200 - left.len(), "{} {version}", api.name);
            }
        }
    }
}

#[test]
fn record_payloads_stay_in_the_memory_of_their_frame() {
    let produce = find(0).unwrap();
    let mut payloads = 0;
    for (version, seed) in (3..=13).flat_map(|version| (0..20).map(move |seed| (version, seed))) {
        let frame = Bytes::from(random_body(produce, version, &mut StdRng::seed_from_u64(seed)));
        let request = ProduceRequest::decode(&mut frame.clone(), version).unwrap();
        let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
        for payload in partitions.filter_map(|partition| partition.records.as_ref()) {
            assert!(payload.is_empty() || frame.as_ptr_range().contains(&payload.as_ptr()));
            payloads += payload.len();
        }
    }
    assert!(payloads > 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    let requests: Vec<u8> = (0..2000).flat_map(|id| request(API_VERSIONS, 0, id, &[])).collect();
    client.send(&requests).await;
    for id in 0..2000_i32 {
        assert_eq!(client.receive().await[..4], id.to_be_bytes());
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_gets_an_answer_of_version_0() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client
        .send(&request(API_VERSIONS, 99, 5, b"whatever the future holds"))
        .await;
    let answer = client.receive().await;
    let mut body = Bytes::from(answer).split_off(4);
    let response = ApiVersionsResponse::decode(&mut body, 0).unwrap();
    assert!(body.is_empty());
    assert_eq!(response.error_code, 35);
    assert!(
        response
            .api_keys
            .iter()
            .any(|api| api.api_key == API_VERSIONS && api.max_version == 4)
    );
    client.send(&request(API_VERSIONS, 0, 6, &[])).await;
    assert_eq!(client.receive().await[..4], [0, 0, 0, 6]);
}

#[tokio::test]
async fn what_is_not_served_closes_the_connection() {
    let server = Server::start(limits()).await;
    let refused = [
        request(999, 0, 1, &[]),
        request(-1, 0, 1, &[]),
        request(0, 2, 1, &[0; 20]),
        request(3, 99, 1, &[0; 20]),
        request(API_VERSIONS, 3, 1, &[0xff; 3]),
    ];
    for frame in refused {
        let mut client = server.connect().await;
        client.send(&frame).await;
        client.assert_closed().await;
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn requests_before_a_bad_one_are_still_answered() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client
        .send(&[request(API_VERSIONS, 0, 1, &[]), request(999, 0, 2, &[])].concat())
        .await;
    assert_eq!(client.receive().await[..4], [0, 0, 0, 1]);
    client.assert_closed().await;
}

#[tokio::test]
async fn lengths_that_lie_close_the_connection_and_cost_no_memory() {
    let server = Server::start(limits()).await;
    let before = memory_kib("VmRSS");
    let lies: [&[u8]; 5] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 3],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 3, 1, 2, 0],
    ];
    for lie in lies {
        let mut client = server.connect().await;
        client.send(lie).await;
        client.assert_closed().await;
    }
    let half_sent = [&[0x06, 0x40, 0, 0][..], &[0; 5]].concat();
    for _ in 0..20 {
        server.connect().await.send(&half_sent).await;
    }
    server.assert_serves().await;
    let grown = memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn a_hostile_array_length_ends_one_connection_only() {
    let server = Server::start(limits()).await;
    assert!(walk(&tables::METADATA, 1, &[0x7f, 0xff, 0xff, 0xff, 0]).is_err());
    for version in 0..=13 {
        let mut client = server.connect().await;
        client
            .send(&request(3, version, 1, &[0x7f, 0xff, 0xff, 0xff, 0x7f]))
            .await;
        client.assert_closed().await;
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn a_half_sent_request_times_out() {
    let server = Server::start(limits()).await;
    for half in [&[0][..], &[0, 0, 0, 50, 0, 18, 0]] {
        let mut client = server.connect().await;
        client.send(half).await;
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut limits = limits();
    limits.connection.frame.idle = Duration::from_millis(50);
    let server = Server::start(limits).await;
    server.connect().await.assert_closed().await;
}

#[tokio::test]
async fn a_client_beyond_the_limit_waits_for_another_to_leave() {
    let mut limits = limits();
    limits.connections_max = 1;
    let server = Server::start(limits).await;
    let mut first = server.connect().await;
    first.send(&request(API_VERSIONS, 0, 1, &[])).await;
    first.receive().await;
    let mut second = server.connect().await;
    second.send(&request(API_VERSIONS, 0, 2, &[])).await;
    let too_early = tokio::time::timeout(Duration::from_millis(100), second.receive()).await;
    assert!(too_early.is_err());
    drop(first);
    assert_eq!(second.receive().await[..4], [0, 0, 0, 2]);
}

#[tokio::test]
async fn a_client_that_never_reads_is_stopped_and_given_up() {
    let server = Server::start(limits()).await;
    let client = server.connect().await;
    let before = memory_kib("VmRSS");
    let requests = request(API_VERSIONS, 0, 1, &[]).repeat(1000);
    let flood = async {
        loop {
            client.0.writable().await?;
            match client.0.try_write(&requests) {
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                    return std::io::Result::<()>::Err(error);
                }
                _ => {}
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(20), flood).await;
    assert!(end.expect("the server never gives up").is_err());
    let grown = memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
    server.assert_serves().await;
}

#[tokio::test]
async fn a_long_poll_ends_when_its_client_goes() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    let one_topic = [&[0, 0, 0, 1, 0, 1, b't'][..], &[1]].concat();
    client.send(&request(3, 4, 1, &one_topic)).await;
    client.receive().await;
    let for_an_hour = 3_600_000_i32.to_be_bytes();
    let waits = [&[0xff; 4][..], &for_an_hour, &[0, 0, 0, 1], &[0, 1, 0, 0], &[0]].concat();
    let from_the_start = [&[0, 0, 0, 1][..], &[0; 4], &[0; 8], &[0, 1, 0, 0]].concat();
    let topic = [&[0, 0, 0, 1, 0, 1, b't'][..], &from_the_start].concat();
    client.send(&request(1, 4, 2, &[waits, topic].concat())).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(300), client.receive())
            .await
            .is_err()
    );
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_forgets_half_sent_requests() {
    let server = Server::start(limits()).await;
    let mut idle = server.connect().await;
    idle.send(&request(API_VERSIONS, 0, 1, &[])).await;
    idle.receive().await;
    let mut half = server.connect().await;
    half.send(&framed(&[0; 100])[..50]).await;
    server.assert_serves().await;
    server.stop().await;
    idle.assert_closed().await;
    half.assert_closed().await;
}

#[test]
fn random_frames_have_a_readable_header() {
    for api in APIS {
        for version in api.served_min..=api.advertised.max {
            let frame = random_frame(api, version, &mut StdRng::seed_from_u64(1));
            let header = agent::wire_shape::RequestHeader::fixed_part(&frame).unwrap();
            let header = header.with_client(api.is_flexible(version)).unwrap();
            let body = &frame[header.body_start..];
            assert_eq!(walk(api.shape, version, body), Ok(body.len()), "{} {version}", api.name);
        }
    }
}
