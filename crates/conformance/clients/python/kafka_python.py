"""The story that every client tells, with kafka-python: kafka_python.py BOOTSTRAP RUN."""

import sys
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

import said
from said import CODECS, PARTITIONS, check, feature, same, until

BOOTSTRAP, RUN = sys.argv[1:]
TOPIC = f"{RUN}-story"
PARTS = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
produced = []


def partitions_of(name):
    return next((len(t["partitions"]) for t in admin.describe_topics() if t["name"] == name), 0)


def create(name, partitions):
    admin.create_topics({name: {"num_partitions": partitions}})
    until(f"{name} has {partitions} partitions", lambda: partitions_of(name) == partitions)


def produce(topic, records, **settings):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)
    acks = [producer.send(topic, **record) for record in records]
    check(all(ack.get(timeout=said.PATIENCE_S).offset >= 0 for ack in acks), "an ack without an offset")
    producer.close()


def produce_story(label, **settings):
    names = ("partition", "key", "value", "headers")
    records = [dict(zip(names, record)) for record in said.story(label)]
    produced.extend(record["value"] for record in records)
    produce(TOPIC, records, **settings)


def consumer(**settings):
    return KafkaConsumer(bootstrap_servers=BOOTSTRAP, **settings)


def member(group, **settings):
    return KafkaConsumer(TOPIC, bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest", **settings)


def read(consumer, count):
    records = []

    def enough():
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
        return len(records) >= count

    until(f"{count} records", enough)
    return records


def check_story(records):
    said.check_story(produced, [(r.partition, r.offset, r.key, r.value, r.headers) for r in records])


def consume_by_assign():
    reader = consumer()
    reader.assign(PARTS)
    reader.seek_to_beginning()
    check_story(read(reader, len(produced)))
    reader.close()


def seek_by_time():
    part = TopicPartition(f"{RUN}-time", 0)
    create(part.topic, 1)
    base = int(time.time() * 1000) - 60_000
    produce(part.topic, [{"value": b"at-%d" % i, "timestamp_ms": base + i * 1000} for i in range(10)])
    reader = consumer()
    same(5, reader.offsets_for_times({part: base + 4500})[part].offset, "offset")
    same(None, reader.offsets_for_times({part: base + 9001})[part], "offset after the last")
    reader.assign([part])
    reader.seek(part, 5)
    same(b"at-5", read(reader, 5)[0].value, "first record")
    reader.close()


def consume_by_group():
    reader = member(f"{RUN}-group")
    check_story(read(reader, len(produced)))
    reader.close()


def commit_and_resume():
    first = member(f"{RUN}-resume", enable_auto_commit=False, max_poll_records=10)
    records = read(first, 20)
    first.commit()
    first.close()
    second = member(f"{RUN}-resume")
    records += read(second, len(produced) - len(records))
    second.close()
    check_story(records)


def assigned(member):
    member.poll(timeout_ms=100)
    return set(member.assignment())


def rebalance():
    first = member(f"{RUN}-rebalance")
    until("the only member has all partitions", lambda: len(assigned(first)) == PARTITIONS)
    second = member(f"{RUN}-rebalance")
    until("two members share the partitions", lambda: said.shared(assigned(first), assigned(second)))
    second.close()
    until("the member that stayed has all partitions", lambda: len(assigned(first)) == PARTITIONS)
    first.close()


def config(kind, name, setting):
    described = admin.describe_configs([ConfigResource(kind, name)], config_filter="all")
    return described[kind.name.lower()][name][setting]


def alter(name, value):
    # The client would refuse an unknown name itself.
    resource = ConfigResource(ConfigResourceType.TOPIC, TOPIC, {name: value})
    return str(admin.alter_configs([resource], raise_on_unknown=False)["topic"][TOPIC])


def configs():
    def retention():
        return config(ConfigResourceType.TOPIC, TOPIC, "retention.ms")

    same("DEFAULT_CONFIG", retention()["config_source"], "source before")
    alter("retention.ms", "3600000")
    until("the altered value is shown", lambda: retention()["value"] == "3600000")
    same("DYNAMIC_TOPIC_CONFIG", retention()["config_source"], "source after")
    answer = alter("no.such.config", "1")
    check("InvalidConfig" in answer, f"unknown config: {answer}")
    broker = admin.describe_cluster()["brokers"][0]
    config(ConfigResourceType.BROKER, str(broker.get("node_id", broker.get("broker_id"))), "message.max.bytes")


def create_partitions():
    create(f"{RUN}-grow", 2)
    admin.create_partitions({f"{RUN}-grow": 5})
    until("there are 5 partitions", lambda: partitions_of(f"{RUN}-grow") == 5)


def delete_records():
    part = TopicPartition(f"{RUN}-cut", 0)
    create(part.topic, 1)
    produce(part.topic, [{"value": b"cut-%d" % i} for i in range(10)])
    same(5, admin.delete_records({part: 5})[part]["low_watermark"], "low watermark")
    reader = consumer()
    same({part: 5}, reader.beginning_offsets([part]), "beginning")
    reader.assign([part])
    reader.seek_to_beginning()
    same(b"cut-5", read(reader, 5)[0].value, "first record")
    reader.close()


def listed(group):
    return [found["group_state"] for found in admin.list_groups() if found["group_id"] == group]


def groups():
    group = f"{RUN}-groups"
    reader = member(group)
    until("the member has all partitions", lambda: len(assigned(reader)) == PARTITIONS)
    same(["Stable"], listed(group), "listed state")
    described = admin.describe_groups([group])[group]
    same("Stable", described["group_state"], "state")
    same(1, len(described["members"]), "members")
    reader.close()
    same("Empty", admin.describe_groups([group])[group]["group_state"], "state without members")


def committed(group):
    found = admin.list_group_offsets(group)[group][PARTS[0]]
    return found.offset, found.metadata


def group_offsets():
    group = f"{RUN}-offsets"
    reader = consumer(group_id=group)
    reader.assign(PARTS)
    reader.commit({PARTS[0]: OffsetAndMetadata(7, "seven", -1)})
    reader.close()
    same((7, "seven"), committed(group), "committed")
    admin.alter_group_offsets(group, {PARTS[0]: OffsetAndMetadata(3, "", -1)})
    same((3, ""), committed(group), "altered")
    same({group: "OK"}, admin.delete_groups([group]), "deletion")
    same([], listed(group), "listed after its deletion")


def delete_topic():
    admin.delete_topics([TOPIC])
    until("the topic is gone", lambda: TOPIC not in admin.list_topics())


said.line("VERSION", "kafka-python", kafka.__version__)
feature("create-topic", create, TOPIC, PARTITIONS)
for codec in CODECS:
    feature(f"produce-{codec}", lambda: produce_story(codec, compression_type=None if codec == "none" else codec))
feature("produce-idempotent", lambda: produce_story("idempotent", enable_idempotence=True))
feature("consume-assign", consume_by_assign)
feature("seek-by-time", seek_by_time)
feature("consume-group", consume_by_group)
feature("commit-resume", commit_and_resume)
feature("rebalance", rebalance)
said.skip("consumer-protocol", "kafka-python does not have it")
feature("configs", configs)
feature("create-partitions", create_partitions)
feature("delete-records", delete_records)
feature("groups", groups)
feature("group-offsets", group_offsets)
feature("delete-topic", delete_topic)
