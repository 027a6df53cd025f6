//! Topics: found, created, deleted.

use std::collections::BTreeMap;

use crate::world::{World, name, topic};
use metastore::{Growth, NewTopic, TopicCreation, TopicSettings};
use types::{PartitionIndex, TopicId};

fn new(topic: &str, partition_count: i32) -> NewTopic {
    let settings = TopicSettings(BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]));
    NewTopic {
        name: name(topic),
        partition_count,
        settings,
    }
}

pub(crate) async fn a_created_topic_is_found_by_name_and_id_with_its_settings(world: World) {
    let metastore = world.metastore.clone();
    let created = match metastore.create_topics(&[new("a.b", 3)]).await.unwrap().remove(0) {
        TopicCreation::Created(topic) => topic,
        other => panic!("{other:?}"),
    };
    assert_eq!(created.partition_count, 3);
    assert_eq!(created.settings.0["retention.ms"], "-1");
    assert_eq!(
        metastore.topic_by_name(&name("a.b")).await.unwrap().as_ref(),
        Some(&created)
    );
    assert_eq!(
        metastore.topics().await.unwrap(),
        metastore.topics_by_id(&[created.id]).await.unwrap()
    );
    assert_eq!(metastore.topics().await.unwrap(), [created]);
}

pub(crate) async fn each_topic_of_one_call_has_its_own_result(world: World) {
    let metastore = world.metastore.clone();
    let there = topic(&metastore, "there", 1).await;
    let dotted = topic(&metastore, "a.b", 1).await;
    let results = metastore
        .create_topics(&[new("new", 2), new("there", 5), new("a_b", 1)])
        .await
        .unwrap();
    assert!(matches!(&results[0], TopicCreation::Created(topic) if topic.name == name("new")));
    assert_eq!(results[1], TopicCreation::AlreadyExists(there));
    assert_eq!(results[2], TopicCreation::Collides(dotted));
}

pub(crate) async fn of_many_that_create_a_topic_at_once_one_does(world: World) {
    let metastore = world.metastore.clone();
    let wanted = [new("x", 10), new("y", 10)];
    let swapped = [new("y", 10), new("x", 10)];
    let racers = (0..8).map(|i| metastore.create_topics(if i % 2 == 0 { &wanted } else { &swapped }));
    let results = futures::future::join_all(racers)
        .await
        .into_iter()
        .flat_map(Result::unwrap);
    assert_eq!(
        results
            .filter(|result| matches!(result, TopicCreation::Created(_)))
            .count(),
        2
    );
}

pub(crate) async fn a_deleted_topic_is_gone_and_its_name_free_for_another_one(world: World) {
    let metastore = world.metastore.clone();
    let first = topic(&metastore, "t", 3).await;
    assert!(metastore.delete_topic(first.id).await.unwrap());
    assert!(!metastore.delete_topic(first.id).await.unwrap());
    assert!(!metastore.delete_topic(TopicId(uuid::Uuid::new_v4())).await.unwrap());
    assert_eq!(metastore.topic_by_name(&name("t")).await.unwrap(), None);
    let second = topic(&metastore, "t", 1).await;
    assert_ne!((first.id, first.number), (second.id, second.number));
}

pub(crate) async fn what_is_in_the_way_is_told_without_creating_anything(world: World) {
    let metastore = world.metastore.clone();
    topic(&metastore, "a_b", 1).await;
    let found = metastore
        .topics_in_the_way(&[name("a.b"), name("a_b"), name("c")])
        .await
        .unwrap();
    assert!(matches!(
        found[..],
        [
            Some(TopicCreation::Collides(_)),
            Some(TopicCreation::AlreadyExists(_)),
            None
        ]
    ));
    assert_eq!(metastore.topics().await.unwrap().len(), 1);
}

pub(crate) async fn of_names_that_collide_in_one_call_the_first_in_order_is_created(world: World) {
    let metastore = world.metastore.clone();
    let results = metastore
        .create_topics(&[new("a_b", 1), new("a.b", 1), new("a.b", 2)])
        .await;
    let results = results.unwrap();
    assert!(matches!(&results[0], TopicCreation::Collides(topic) if topic.name == name("a.b")));
    assert!(matches!(&results[1], TopicCreation::Created(topic) if topic.partition_count == 1));
    assert!(matches!(&results[2], TopicCreation::AlreadyExists(topic) if topic.name == name("a.b")));
    let found = metastore.topics_by_name(&[name("a.b"), name("a.b")]).await.unwrap();
    assert_eq!(found.len(), 1);
}

pub(crate) async fn a_topic_grows_and_never_shrinks(world: World) {
    let metastore = world.metastore.clone();
    let before = topic(&metastore, "t", 2).await;
    let grow = async |count| metastore.add_partitions(before.id, count).await.unwrap();
    assert_eq!(grow(4).await, Some(Growth::Grown));
    assert_eq!(grow(4).await, Some(Growth::NotMore(4)));
    assert_eq!(grow(1).await, Some(Growth::NotMore(4)));
    assert_eq!(metastore.topics().await.unwrap()[0].partition_count, 4);
    let keys: Vec<_> = (0..5).map(|index| (before.number, PartitionIndex(index))).collect();
    assert_eq!(metastore.log_ends(&keys).await.unwrap().len(), 4);
    assert!(metastore.delete_topic(before.id).await.unwrap());
    assert_eq!(grow(9).await, None);
    assert!(metastore.log_ends(&keys).await.unwrap().is_empty());
}

pub(crate) async fn of_many_that_let_a_topic_grow_at_once_all_leave_it_whole(world: World) {
    let metastore = world.metastore.clone();
    let before = topic(&metastore, "t", 1).await;
    let growing = (2..=9).map(|count| metastore.add_partitions(before.id, count));
    let grown = futures::future::join_all(growing).await;
    assert!(grown.into_iter().all(|grown| grown.unwrap().is_some()));
    let keys: Vec<_> = (0..20).map(|index| (before.number, PartitionIndex(index))).collect();
    assert_eq!(metastore.topics().await.unwrap()[0].partition_count, 9);
    assert_eq!(metastore.log_ends(&keys).await.unwrap().len(), 9);
}

pub(crate) async fn settings_are_replaced_only_by_who_knows_them(world: World) {
    let metastore = world.metastore.clone();
    let created = topic(&metastore, "t", 1).await;
    let settings = |value: &str| TopicSettings(BTreeMap::from([("retention.ms".to_owned(), value.to_owned())]));
    let replace = async |expected: TopicSettings, new: TopicSettings| {
        metastore.replace_settings(created.id, &expected, &new).await.unwrap()
    };
    assert!(replace(TopicSettings::default(), settings("1")).await);
    assert!(!replace(TopicSettings::default(), settings("2")).await);
    assert_eq!(metastore.topics().await.unwrap()[0].settings, settings("1"));
    assert!(replace(settings("1"), TopicSettings::default()).await);
    assert_eq!(metastore.topics().await.unwrap()[0].settings, TopicSettings::default());
    assert!(metastore.delete_topic(created.id).await.unwrap());
    assert!(!replace(TopicSettings::default(), settings("3")).await);
}
