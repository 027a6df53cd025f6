use proptest::prelude::*;
use uuid::Uuid;

use super::*;

type World = (Vec<i32>, Vec<Vec<bool>>);

/// Up to six topics of up to twelve partitions, up to eight members, and who subscribes to what.
fn world() -> impl Strategy<Value = World> {
    let topics = prop::collection::vec(0..12i32, 1..6);
    let members = prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 1..8);
    (topics, members)
}

fn shape(index: usize, partition_count: i32) -> TopicShape {
    TopicShape {
        id: TopicId(Uuid::from_u128(index as u128 + 1)),
        partition_count,
    }
}

fn subscribed(counts: &[i32], wanted: &[bool]) -> BTreeSet<TopicShape> {
    let topics = counts.iter().enumerate().filter(|(index, _)| wanted[*index]);
    topics.map(|(index, count)| shape(index, *count)).collect()
}

fn assign(assignor: Assignor, (counts, members): &World, before: &Targets) -> Targets {
    let none = Partitions::default();
    let ids: Vec<String> = (0..members.len()).map(|index| format!("m{index}")).collect();
    let subscribers: Vec<Subscriber<'_>> = ids
        .iter()
        .zip(members)
        .map(|(id, wanted)| Subscriber {
            id,
            instance_id: None,
            topics: subscribed(counts, wanted),
            before: before.get(id).unwrap_or(&none),
        })
        .collect();
    assignor.assign(&subscribers)
}

fn with_all_topics((counts, members): World) -> World {
    (counts, members.iter().map(|_| vec![true; 6]).collect())
}

fn owner_of<'a>(targets: &'a Targets, key: &Key) -> Vec<&'a str> {
    let owners = targets.iter().filter(|(_, partitions)| partitions.contains(key));
    owners.map(|(id, _)| id.as_str()).collect()
}

/// Every partition of every topic that anybody reads is with exactly one of its readers.
fn assert_complete((counts, members): &World, targets: &Targets) {
    for (index, count) in counts.iter().enumerate() {
        let readers: Vec<usize> = (0..members.len()).filter(|member| members[*member][index]).collect();
        for key in partitions_of(&shape(index, *count)) {
            let owners = owner_of(targets, &key);
            assert_eq!(owners.len(), usize::from(!readers.is_empty()), "{key:?}: {owners:?}");
            assert!(
                owners
                    .iter()
                    .all(|owner| readers.iter().any(|reader| format!("m{reader}") == **owner))
            );
        }
    }
    let read = (0..counts.len()).filter(|topic| members.iter().any(|wanted| wanted[*topic]));
    let total: i32 = read.map(|topic| counts[topic]).sum();
    let given: usize = targets.values().map(Partitions::len).sum();
    assert_eq!(given, usize::try_from(total).unwrap());
    assert_eq!(targets.len(), members.len());
}

fn moved(before: &Targets, after: &Targets) -> Vec<Key> {
    let keys = before
        .iter()
        .flat_map(|(id, partitions)| partitions.iter().map(move |key| (id, key)));
    let moved = keys.filter(|(id, key)| after.get(*id).is_some_and(|after| !after.contains(key)));
    moved.map(|(_, key)| key).collect()
}

proptest! {
    #[test]
    fn every_partition_is_with_exactly_one_of_its_subscribers(first in world(), second in world()) {
        for assignor in Assignor::ALL {
            let before = assign(assignor, &first, &Targets::new());
            assert_complete(&first, &before);
            // Members came, left and changed their minds; topics grew, shrank and vanished.
            assert_complete(&second, &assign(assignor, &second, &before));
        }
    }

    #[test]
    fn uniform_leaves_nothing_that_one_move_would_level(first in world(), second in world()) {
        let before = assign(Assignor::Uniform, &first, &Targets::new());
        for world in [first, second] {
            let targets = assign(Assignor::Uniform, &world, &before);
            for (id, partitions) in &targets {
                for (topic, _) in partitions.by_topic() {
                    let index = usize::try_from(topic.0.as_u128() - 1).unwrap();
                    let readers = (0..world.1.len()).filter(|member| world.1[*member][index]);
                    for reader in readers {
                        let reader = targets[&format!("m{reader}")].len();
                        prop_assert!(partitions.len() <= reader + 1, "{id} could give one away");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_moves_without_a_reason(world in world()) {
        for assignor in Assignor::ALL {
            let before = assign(assignor, &world, &Targets::new());
            prop_assert_eq!(&assign(assignor, &world, &before), &before);
        }
    }

    #[test]
    fn uniform_moves_no_more_than_the_balance_takes(world in world()) {
        let world = with_all_topics(world);
        let before = assign(Assignor::Uniform, &world, &Targets::new());
        let mut joined = world.clone();
        joined.1.push(vec![true; 6]);
        let after = assign(Assignor::Uniform, &joined, &before);
        let newcomer = format!("m{}", world.1.len());
        prop_assert_eq!(moved(&before, &after).len(), after[&newcomer].len());
        // It leaves again: only what it had moves.
        prop_assert_eq!(moved(&after, &assign(Assignor::Uniform, &world, &after)), vec![]);
    }

    #[test]
    fn range_gives_partitions_of_the_same_number_to_one_member(world in world(), joined in 1..4usize) {
        let (mut counts, members) = with_all_topics(world);
        let before = assign(Assignor::Range, &(counts.clone(), members.clone()), &Targets::new());
        counts.push(counts[0]);
        let mut more = members.clone();
        more.extend((0..joined).map(|_| vec![true; 6]));
        let after = assign(Assignor::Range, &(counts.clone(), more), &before);
        for index in 0..counts[0] {
            let of = |topic: usize| owner_of(&after, &(shape(topic, 0).id, PartitionIndex(index)));
            prop_assert_eq!(of(0), of(counts.len() - 1));
        }
    }

    #[test]
    fn range_divides_each_topic_evenly(world in world()) {
        let world = with_all_topics(world);
        let targets = assign(Assignor::Range, &world, &Targets::new());
        for index in 0..world.0.len() {
            let id = shape(index, 0).id;
            let sizes = targets.values().map(|partitions| partitions.iter().filter(|key| key.0 == id).count());
            let sizes: Vec<usize> = sizes.collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }
}

#[test]
fn fresh_ranges_are_contiguous() {
    let targets = assign(Assignor::Range, &(vec![7], vec![vec![true; 6]; 3]), &Targets::new());
    let of = |id: &str| targets[id].iter().map(|(_, partition)| partition.0).collect::<Vec<_>>();
    assert_eq!((of("m0"), of("m1"), of("m2")), (vec![0, 1, 2], vec![3, 4], vec![5, 6]));
}

#[test]
fn a_large_group_is_assigned_in_no_time() {
    let world = (vec![2_000; 5], vec![vec![true; 6]; 500]);
    let before = assign(Assignor::Uniform, &world, &Targets::new());
    assert_eq!(before.values().map(Partitions::len).max(), Some(20));
    let fewer = (world.0, vec![vec![true; 6]; 499]);
    assert_eq!(moved(&before, &assign(Assignor::Uniform, &fewer, &before)).len(), 0);
}
