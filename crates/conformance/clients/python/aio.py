"""The story that every client tells, with aiokafka: aio.py BOOTSTRAP RUN."""

import asyncio
import sys
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

import said
from said import CODECS, PARTITIONS, check, same

BOOTSTRAP, RUN = sys.argv[1:]
TOPIC = f"{RUN}-story"
PARTS = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
TOPIC_CONFIG = 1  # where a value is from, in Kafka's protocol
DEFAULT_CONFIG = 5
INVALID_CONFIG = 40
produced = []


async def feature(name, tell, *args):
    try:
        await asyncio.wait_for(tell(*args), 3 * said.PATIENCE_S)
        said.line("PASS", name)
    except Exception as failed:
        said.line("FAIL", name, repr(failed))


async def until(what, condition):
    deadline = time.monotonic() + said.PATIENCE_S
    while not await condition():
        check(time.monotonic() < deadline, f"not within {said.PATIENCE_S} s: {what}")


async def has_partitions(admin, name, count):
    async def condition():
        return [len(t["partitions"]) for t in await admin.describe_topics() if t["topic"] == name] == [count]

    await until(f"{name} has {count} partitions", condition)


async def create(admin, name, partitions):
    answer = await admin.create_topics([NewTopic(name, partitions, 1)])
    same(0, answer.topic_errors[0][1], "error code")
    await has_partitions(admin, name, partitions)


async def produce(topic, records, **settings):
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **settings) as producer:
        sent = [await producer.send(topic, **record) for record in records]
        return [ack.offset for ack in await asyncio.wait_for(asyncio.gather(*sent), said.PATIENCE_S)]


async def produce_story(label, **settings):
    """The client's default is acks=1, and yaks does not know the offset by then."""
    names = ("partition", "key", "value", "headers")
    records = [dict(zip(names, record)) for record in said.story(label)]
    produced.extend(record["value"] for record in records)
    offsets = await produce(TOPIC, records, **settings)
    check("enable_idempotence" not in settings or min(offsets) >= 0, "an ack without an offset")


def consumer(**settings):
    return AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, **settings)


def member(group, **settings):
    return AIOKafkaConsumer(
        TOPIC, bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest", **settings
    )


async def read(consumer, count):
    records = []

    async def enough():
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            records.extend(batch)
        return len(records) >= count

    await until(f"{count} records", enough)
    return records


def check_story(records):
    said.check_story(produced, [(r.partition, r.offset, r.key, r.value, r.headers) for r in records])


async def consume_by_assign():
    async with consumer() as reader:
        reader.assign(PARTS)
        await reader.seek_to_beginning()
        check_story(await read(reader, len(produced)))


async def seek_by_time(admin):
    part = TopicPartition(f"{RUN}-time", 0)
    await create(admin, part.topic, 1)
    base = int(time.time() * 1000) - 60_000
    await produce(part.topic, [{"value": b"at-%d" % i, "timestamp_ms": base + i * 1000} for i in range(10)], acks="all")
    async with consumer() as reader:
        reader.assign([part])
        same(5, (await reader.offsets_for_times({part: base + 4500}))[part].offset, "offset")
        same(None, (await reader.offsets_for_times({part: base + 9001}))[part], "offset after the last")
        reader.seek(part, 5)
        same(b"at-5", (await read(reader, 5))[0].value, "first record")


async def consume_by_group():
    async with member(f"{RUN}-group") as reader:
        check_story(await read(reader, len(produced)))


async def commit_and_resume():
    async with member(f"{RUN}-resume", enable_auto_commit=False, max_poll_records=10) as first:
        records = await read(first, 20)
        await first.commit()
    async with member(f"{RUN}-resume") as second:
        records += await read(second, len(produced) - len(records))
    check_story(records)


async def assigned(member):
    await member.getmany(timeout_ms=100)
    return set(member.assignment())


async def rebalance():
    async with member(f"{RUN}-rebalance") as first:

        async def alone():
            return len(await assigned(first)) == PARTITIONS

        await until("the only member has all partitions", alone)
        async with member(f"{RUN}-rebalance") as second:

            async def shared():
                return said.shared(await assigned(first), await assigned(second))

            await until("two members share the partitions", shared)
        await until("the member that stayed has all partitions", alone)


async def config(admin, kind, name, setting):
    (answer,) = await admin.describe_configs([ConfigResource(kind, name)])
    ((error, message, _, _, entries),) = answer.resources
    check(error == 0, message)
    return next(entry for entry in entries if entry[0] == setting)


async def alter(admin, name, value):
    answer = (await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {name: value})]))[0]
    return answer.resources[0][0]


async def configs(admin):
    async def retention():
        return await config(admin, ConfigResourceType.TOPIC, TOPIC, "retention.ms")

    async def altered():
        return (await retention())[1] == "3600000"

    same(DEFAULT_CONFIG, (await retention())[3], "source before")
    same(0, await alter(admin, "retention.ms", "3600000"), "error code")
    await until("the altered value is shown", altered)
    same(TOPIC_CONFIG, (await retention())[3], "source after")
    same(INVALID_CONFIG, await alter(admin, "no.such.config", "1"), "error code for an unknown config")
    broker = (await admin.describe_cluster())["brokers"][0]["node_id"]
    await config(admin, ConfigResourceType.BROKER, str(broker), "message.max.bytes")


async def create_partitions(admin):
    await create(admin, f"{RUN}-grow", 2)
    await admin.create_partitions({f"{RUN}-grow": NewPartitions(5)})
    await has_partitions(admin, f"{RUN}-grow", 5)


async def delete_records(admin):
    part = TopicPartition(f"{RUN}-cut", 0)
    await create(admin, part.topic, 1)
    await produce(part.topic, [{"value": b"cut-%d" % i} for i in range(10)], acks="all")
    same({part: 5}, await admin.delete_records({part: RecordsToDelete(5)}), "low watermark")
    async with consumer() as reader:
        same({part: 5}, await reader.beginning_offsets([part]), "beginning")
        reader.assign([part])
        await reader.seek_to_beginning()
        same(b"cut-5", (await read(reader, 5))[0].value, "first record")


async def described(admin, group):
    (answer,) = await admin.describe_consumer_groups([group])
    ((error, _, state, _, _, members, *_),) = answer.groups
    same(0, error, "error code")
    return state, len(members)


async def groups(admin):
    group = f"{RUN}-groups"
    async with member(group) as reader:

        async def all_assigned():
            return len(await assigned(reader)) == PARTITIONS

        await until("the member has all partitions", all_assigned)
        check(group in [listed[0] for listed in await admin.list_consumer_groups()], "the group is not listed")
        same(("Stable", 1), await described(admin, group), "state and members")
    same(("Empty", 0), await described(admin, group), "state and members, without members")


async def group_offsets(admin):
    """The client can list offsets; it has no call to alter them or to delete a group."""
    group = f"{RUN}-offsets"
    async with consumer(group_id=group) as reader:
        reader.assign(PARTS)
        await reader.commit({PARTS[0]: OffsetAndMetadata(7, "seven")})
    committed = await admin.list_consumer_group_offsets(group)
    same((7, "seven"), tuple(committed[PARTS[0]])[:2], "committed")


async def delete_topic(admin):
    async def gone():
        return TOPIC not in await admin.list_topics()

    await admin.delete_topics([TOPIC])
    await until("the topic is gone", gone)


async def tell():
    said.line("VERSION", "aiokafka", aiokafka.__version__)
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    await feature("create-topic", create, admin, TOPIC, PARTITIONS)
    for codec in CODECS:
        compression = None if codec == "none" else codec
        await feature(f"produce-{codec}", lambda: produce_story(codec, compression_type=compression))
    await feature("produce-idempotent", lambda: produce_story("idempotent", enable_idempotence=True))
    await feature("consume-assign", consume_by_assign)
    await feature("seek-by-time", seek_by_time, admin)
    await feature("consume-group", consume_by_group)
    await feature("commit-resume", commit_and_resume)
    await feature("rebalance", rebalance)
    said.skip("consumer-protocol", "aiokafka does not have it")
    await feature("configs", configs, admin)
    await feature("create-partitions", create_partitions, admin)
    await feature("delete-records", delete_records, admin)
    await feature("groups", groups, admin)
    await feature("group-offsets", group_offsets, admin)
    await feature("delete-topic", delete_topic, admin)
    await admin.close()


asyncio.run(tell())
