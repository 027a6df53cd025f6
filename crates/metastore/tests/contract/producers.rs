//! Idempotent producers: duplicates, gaps, epochs, expiry.

use commit::BatchOutcome;
use commit::BatchOutcome::{
    Appended, Duplicate, DuplicateForgotten, InvalidProducerEpoch, OutOfOrderSequence, UnknownProducerId,
};
use commit::invoke::SlotResult;
use types::{Offset, PartitionIndex, ProducerId, Sequence};

use crate::cluster::{TestBatch, batch, records_of, slot};
use crate::world::World;

pub(crate) async fn a_batch_sent_again_through_another_stream_gets_its_first_offset(cluster: World) {
    let topic = cluster.topic("t", 2).await;
    let (a, b) = (cluster.stream().await, cluster.stream().await);
    let first = batch(&topic, 0, 3).of(7, 0, 0);
    let second = batch(&topic, 0, 2).of(7, 0, 3);
    let plain = batch(&topic, 0, 1);
    assert_eq!(
        cluster
            .outcomes(slot(a, 0), &[first.clone(), plain.clone(), second.clone()])
            .await,
        [Appended(Offset(0)), Appended(Offset(3)), Appended(Offset(4))]
    );
    // The same sequence of another partition is another batch.
    let elsewhere = batch(&topic, 1, 3).of(7, 0, 0);
    let again = [
        second.clone(),
        first.clone(),
        elsewhere,
        batch(&topic, 0, 1).of(7, 0, 5),
    ];
    assert_eq!(
        cluster.outcomes(slot(b, 0), &again).await,
        [
            Duplicate(Offset(4)),
            Duplicate(Offset(0)),
            Appended(Offset(0)),
            Appended(Offset(6))
        ]
    );
    let expected = [first, plain, second, again[3].clone()];
    assert_eq!(cluster.log(&topic, 0).await, records_of(&expected, 0));
}

pub(crate) async fn gaps_and_old_epochs_are_refused_and_leave_the_log_alone(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let sent = [
        batch(&topic, 0, 1).of(7, 0, 1),
        batch(&topic, 0, 1).of(7, 0, 0),
        batch(&topic, 0, 1).of(7, 0, 2),
        batch(&topic, 0, 1).of(7, 1, 0),
        batch(&topic, 0, 1).of(7, 0, 1),
    ];
    let outcomes = cluster.outcomes(slot(stream, 0), &sent).await;
    let expected = [
        OutOfOrderSequence,
        Appended(Offset(0)),
        OutOfOrderSequence,
        Appended(Offset(1)),
        InvalidProducerEpoch,
    ];
    assert_eq!(outcomes, expected);
    let appended = [sent[1].clone(), sent[3].clone()];
    assert_eq!(cluster.log(&topic, 0).await, records_of(&appended, 0));
}

pub(crate) async fn the_last_five_batches_of_a_producer_are_remembered(cluster: World) {
    let topic = cluster.topic("t", 1).await;
    let stream = cluster.stream().await;
    let sent: Vec<TestBatch> = (0..7).map(|n| batch(&topic, 0, 2).of(7, 0, n * 2)).collect();
    for (n, one) in sent.iter().enumerate() {
        cluster
            .outcomes(slot(stream, n as u64), std::slice::from_ref(one))
            .await;
    }
    let outcomes = cluster.outcomes(slot(stream, 7), &sent).await;
    let expected: Vec<BatchOutcome> = (0..7)
        .map(|n| {
            if n < 2 {
                DuplicateForgotten
            } else {
                Duplicate(Offset(n * 2))
            }
        })
        .collect();
    assert_eq!(outcomes, expected);
    assert_eq!(cluster.log(&topic, 0).await, records_of(&sent, 0));
}

pub(crate) async fn a_producer_is_forgotten_when_it_was_silent_for_longer_than_the_expiry(world: World) {
    let topic = world.topic("t", 1).await;
    let stream = world.stream().await;
    let committer = world.committer.clone().with_producer_expiry_ms(60_000);
    let mut seq = 0;
    let mut outcome = async |sequence| {
        let footer = world.footer(slot(stream, seq), &[batch(&topic, 0, 2).of(7, 0, sequence)]);
        seq += 1;
        let results = committer.commit(vec![footer]).await.unwrap();
        results.into_values().next().unwrap()
    };
    assert_eq!(outcome(0).await, SlotResult::Committed(vec![Appended(Offset(0))]));
    world.pass_ms(50_000).await;
    assert_eq!(outcome(2).await, SlotResult::Committed(vec![Appended(Offset(2))]));
    world.pass_ms(50_000).await;
    assert_eq!(outcome(9).await, SlotResult::Committed(vec![OutOfOrderSequence]));
    world.pass_ms(11_000).await;
    assert_eq!(outcome(9).await, SlotResult::Committed(vec![UnknownProducerId]));
    assert_eq!(outcome(4).await, SlotResult::Committed(vec![Appended(Offset(4))]));
}

pub(crate) async fn producers_are_shown_with_their_last_sequence_until_they_expire(cluster: World) {
    let topic = cluster.topic("t", 2).await;
    let stream = cluster.stream().await;
    let batches = [
        batch(&topic, 0, 3).of(7, 2, 0),
        batch(&topic, 0, 2).of(7, 2, 3),
        batch(&topic, 0, 1).of(8, 0, 0),
        batch(&topic, 0, 1),
    ];
    cluster.outcomes(slot(stream, 0), &batches).await;
    let keys = [0, 1].map(|index| (topic.number, PartitionIndex(index)));
    let active = async || {
        let producers = cluster.metastore.active_producers(&keys, 60_000).await.unwrap();
        let of_partition = |key| producers.get(key).cloned().unwrap_or_default();
        assert!(of_partition(&keys[1]).is_empty());
        of_partition(&keys[0])
    };
    let producers = active().await;
    let last = |id| producers[&ProducerId(id)].last_sequence();
    assert_eq!((producers.len(), last(7), last(8)), (2, Sequence(4), Sequence(0)));
    assert_eq!(producers[&ProducerId(7)].epoch.0, 2);
    cluster.pass_ms(70_000).await;
    assert!(active().await.is_empty());
}
