"""The story that every client tells, with confluent-kafka (librdkafka): confluent.py BOOTSTRAP RUN."""

import sys
import time

import confluent_kafka
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

import said
from said import CODECS, PARTITIONS, check, feature, same, until

BOOTSTRAP, RUN = sys.argv[1:]
TOPIC = f"{RUN}-story"
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
produced = []


def done(futures):
    """The one result of an admin call."""
    (future,) = futures.values()
    return future.result(timeout=said.PATIENCE_S)


def create(name, partitions):
    done(admin.create_topics([NewTopic(name, partitions)]))
    until(f"{name} has {partitions} partitions", lambda: partitions_of(name) == partitions)


def partitions_of(name):
    topic = admin.list_topics(timeout=30).topics.get(name)
    return len(topic.partitions) if topic else 0


def produce(topic, records, settings):
    acks = []
    producer = Producer({"bootstrap.servers": BOOTSTRAP, **settings})
    for record in records:
        producer.produce(topic, on_delivery=lambda error, message: acks.append((error, message)), **record)
    check(producer.flush(said.PATIENCE_S) == 0, "acks are missing")
    for error, message in acks:
        check(error is None and message.offset() >= 0, f"{error}, offset {message.offset()}")


def produce_story(label, settings):
    names = ("partition", "key", "value", "headers")
    records = [dict(zip(names, record)) for record in said.story(label)]
    produced.extend(record["value"] for record in records)
    produce(TOPIC, records, settings)


def consumer(settings):
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": f"{RUN}-none", **settings})


def member(group, **settings):
    subscribed = consumer({"group.id": group, "auto.offset.reset": "earliest", **settings})
    subscribed.subscribe([TOPIC])
    return subscribed


def read(consumer, count):
    messages = []

    def enough():
        message = consumer.poll(0.2)
        if message is not None:
            check(message.error() is None, message.error())
            messages.append(message)
        return len(messages) >= count

    until(f"{count} records", enough)
    return messages


def check_story(messages):
    said.check_story(produced, [(m.partition(), m.offset(), m.key(), m.value(), m.headers()) for m in messages])


def consume_by_assign():
    reader = consumer({})
    reader.assign([TopicPartition(TOPIC, p, confluent_kafka.OFFSET_BEGINNING) for p in range(PARTITIONS)])
    check_story(read(reader, len(produced)))
    reader.close()


def seek_by_time():
    topic = f"{RUN}-time"
    create(topic, 1)
    base = int(time.time() * 1000) - 60_000
    produce(topic, [{"value": f"at-{i}", "timestamp": base + i * 1000} for i in range(10)], {})
    reader = consumer({})
    (found,) = reader.offsets_for_times([TopicPartition(topic, 0, base + 4500)], timeout=30)
    same(5, found.offset, "offset")
    (found,) = reader.offsets_for_times([TopicPartition(topic, 0, base + 9001)], timeout=30)
    same(confluent_kafka.OFFSET_END, found.offset, "offset after the last")
    reader.assign([TopicPartition(topic, 0, 5)])
    same(b"at-5", read(reader, 5)[0].value(), "first record")
    reader.close()


def consume_by_group():
    reader = member(f"{RUN}-group")
    check_story(read(reader, len(produced)))
    reader.close()


def commit_and_resume():
    first = member(f"{RUN}-resume", **{"enable.auto.commit": False})
    messages = read(first, 20)
    first.commit(asynchronous=False)
    first.close()
    second = member(f"{RUN}-resume")
    messages += read(second, len(produced) - len(messages))
    second.close()
    check_story(messages)


def assigned(member):
    member.poll(0.1)
    return {partition.partition for partition in member.assignment()}


def rebalance(group, kind, settings):
    first = member(group, **settings)
    until("the only member has all partitions", lambda: len(assigned(first)) == PARTITIONS)
    second = member(group, **settings)
    until("two members share the partitions", lambda: said.shared(assigned(first), assigned(second)))
    same([kind], [found[1] for found in listed(group)], "the group's type")
    second.close()
    until("the member that stayed has all partitions", lambda: len(assigned(first)) == PARTITIONS)
    first.close()


def alter(name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[entry])]))


def retention():
    return done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, TOPIC)]))["retention.ms"]


def configs():
    same(ConfigSource.DEFAULT_CONFIG.value, retention().source, "source before")
    alter("retention.ms", "3600000")
    until("the altered value is shown", lambda: retention().value == "3600000")
    same(ConfigSource.DYNAMIC_TOPIC_CONFIG.value, retention().source, "source after")
    error = said.refused("an unknown config", alter, "no.such.config", "1").args[0]
    same("INVALID_CONFIG", error.name(), "unknown config")
    broker = admin.describe_cluster().result(timeout=30).nodes[0].id
    settings = done(admin.describe_configs([ConfigResource(ResourceType.BROKER, str(broker))]))
    check("message.max.bytes" in settings, "the broker does not tell message.max.bytes")


def create_partitions():
    create(f"{RUN}-grow", 2)
    done(admin.create_partitions([NewPartitions(f"{RUN}-grow", 5)]))
    until("there are 5 partitions", lambda: partitions_of(f"{RUN}-grow") == 5)


def delete_records():
    topic = f"{RUN}-cut"
    create(topic, 1)
    produce(topic, [{"value": f"cut-{i}"} for i in range(10)], {})
    same(5, done(admin.delete_records([TopicPartition(topic, 0, 5)])).low_watermark, "low watermark")
    reader = consumer({})
    same((5, 10), reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=30), "watermarks")
    reader.assign([TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    same(b"cut-5", read(reader, 5)[0].value(), "first record")
    reader.close()


def listed(group):
    listing = admin.list_consumer_groups().result(timeout=30)
    check(not listing.errors, listing.errors)
    return [(found.state, found.type) for found in listing.valid if found.group_id == group]


def groups():
    group = f"{RUN}-groups"
    reader = member(group)
    until("the member has all partitions", lambda: len(assigned(reader)) == PARTITIONS)
    same([(ConsumerGroupState.STABLE, ConsumerGroupType.CLASSIC)], listed(group), "listed state and type")
    described = done(admin.describe_consumer_groups([group]))
    same(ConsumerGroupState.STABLE, described.state, "state")
    same("range", described.partition_assignor, "assignor")
    (only,) = described.members
    same(set(range(PARTITIONS)), {p.partition for p in only.assignment.topic_partitions}, "the member's partitions")
    reader.close()
    same(ConsumerGroupState.EMPTY, done(admin.describe_consumer_groups([group])).state, "state without members")


def committed(group):
    (partition,) = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])).topic_partitions
    return partition


def group_offsets():
    group = f"{RUN}-offsets"
    reader = consumer({"group.id": group})
    reader.commit(offsets=[TopicPartition(TOPIC, 0, 7, "seven")], asynchronous=False)
    reader.close()
    same((7, "seven"), (committed(group).offset, committed(group).metadata), "committed")
    altered = ConsumerGroupTopicPartitions(group, [TopicPartition(TOPIC, 0, 3)])
    done(admin.alter_consumer_group_offsets([altered]))
    same(3, committed(group).offset, "altered")
    done(admin.delete_consumer_groups([group]))
    same([], listed(group), "listed after its deletion")


def delete_topic():
    done(admin.delete_topics([TOPIC]))
    until("the topic is gone", lambda: TOPIC not in admin.list_topics(timeout=30).topics)


said.line("VERSION", "confluent-kafka", confluent_kafka.__version__)
said.line("VERSION", "librdkafka", confluent_kafka.libversion()[0])
feature("create-topic", create, TOPIC, PARTITIONS)
for codec in CODECS:
    feature(f"produce-{codec}", produce_story, codec, {"compression.type": codec})
feature("produce-idempotent", produce_story, "idempotent", {"enable.idempotence": True})
feature("consume-assign", consume_by_assign)
feature("seek-by-time", seek_by_time)
feature("consume-group", consume_by_group)
feature("commit-resume", commit_and_resume)
feature("rebalance", rebalance, f"{RUN}-rebalance", ConsumerGroupType.CLASSIC, {})
feature("consumer-protocol", rebalance, f"{RUN}-848", ConsumerGroupType.CONSUMER, {"group.protocol": "consumer"})
feature("configs", configs)
feature("create-partitions", create_partitions)
feature("delete-records", delete_records)
feature("groups", groups)
feature("group-offsets", group_offsets)
feature("delete-topic", delete_topic)
