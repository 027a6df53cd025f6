// The story that every client tells, with KafkaJS: node story.js BOOTSTRAP RUN.
const kafkajs = require('kafkajs')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, ConfigSource, Kafka } = kafkajs
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')
const { PARTITIONS, RECORDS, feature, skip, version, check, same, until } = require('./said')

const [bootstrap, run] = process.argv.slice(2)
const topic = `${run}-story`
const kafka = new Kafka({ brokers: bootstrap.split(','), logLevel: kafkajs.logLevel.NOTHING })
const admin = kafka.admin()
const produced = []

// KafkaJS leaves these codecs to its users.
function addCodecs(zstd) {
  CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: (encoder) => lz4.compressFrame(encoder.buffer),
    decompress: (buffer) => lz4.decompressFrame(buffer),
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder) => Buffer.from(new zstd.Streaming().compress(encoder.buffer)),
    decompress: async (buffer) => Buffer.from(new zstd.Streaming().decompress(buffer)),
  })
}

async function partitionsOf(name) {
  const { topics } = await admin.fetchTopicMetadata()
  return topics.find((found) => found.name === name)?.partitions.length ?? 0
}

async function create(name, partitions) {
  await admin.createTopics({ topics: [{ topic: name, numPartitions: partitions }] })
  await until(`${name} has ${partitions} partitions`, async () => (await partitionsOf(name)) === partitions)
}

async function produce(name, messages, compression = CompressionTypes.None, settings = {}) {
  const producer = kafka.producer(settings)
  await producer.connect()
  const acks = await producer.send({ topic: name, messages, compression })
  check(acks.every((ack) => Number(ack.baseOffset) >= 0), 'an ack without an offset')
  await producer.disconnect()
}

async function produceStory(label, compression, settings) {
  const messages = Array.from({ length: RECORDS }, (_, i) => ({
    partition: i % PARTITIONS,
    key: `k${i}`,
    value: `${label}-${i}`,
    headers: { label },
  }))
  produced.push(...messages.map((message) => message.value))
  await produce(topic, messages, compression, settings)
}

// All that was produced, once, in order, without a hole.
function checkStory(messages) {
  const next = {}
  for (const { partition, message } of messages) {
    same(next[partition] ?? 0, Number(message.offset), 'offset')
    next[partition] = Number(message.offset) + 1
    same(`${message.headers.label}-${message.key.toString().slice(1)}`, message.value.toString(), 'value')
  }
  same([...produced].sort(), messages.map(({ message }) => message.value.toString()).sort(), 'values')
}

// A member of a group, with what it has read and which partitions it has.
async function join(group, name = topic, settings = {}) {
  const consumer = kafka.consumer({ groupId: group })
  const member = { consumer, messages: [], partitions: [], stop: () => consumer.disconnect() }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.partitions = payload.memberAssignment[name] ?? []
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [name], fromBeginning: true })
  const eachMessage = async (message) => void member.messages.push(message)
  await consumer.run({ eachMessage, ...settings })
  return member
}

const has = (member, count) => () => member.messages.length >= count

async function consumeByGroup() {
  const reader = await join(`${run}-group`)
  await until(`${produced.length} records`, has(reader, produced.length))
  await reader.stop()
  checkStory(reader.messages)
}

async function seekByTime() {
  const name = `${run}-time`
  await create(name, 1)
  const base = Date.now() - 60000
  const messages = Array.from({ length: 10 }, (_, i) => ({ value: `at-${i}`, timestamp: `${base + i * 1000}` }))
  await produce(name, messages)
  const [found] = await admin.fetchTopicOffsetsByTimestamp(name, base + 4500)
  same('5', found.offset, 'offset')
  const reader = await join(`${run}-time`, name)
  reader.consumer.seek({ topic: name, partition: 0, offset: '5' })
  await until('5 records', () => reader.messages.some(({ message }) => message.offset === '9'))
  await reader.stop()
}

// Commits what the first member has read of each partition, up to a point in the middle.
async function commitAndResume() {
  const group = `${run}-resume`
  const first = await join(group, topic, { autoCommit: false })
  await until('20 records', has(first, 20))
  const kept = first.messages.slice(0, 20)
  const ends = {}
  for (const { partition, message } of kept) ends[partition] = Number(message.offset) + 1
  const offsets = Object.entries(ends).map(([partition, offset]) => ({ topic, partition: Number(partition), offset: `${offset}` }))
  await first.consumer.commitOffsets(offsets)
  await first.stop()
  const second = await join(group)
  await until('the rest', has(second, produced.length - kept.length))
  await second.stop()
  checkStory([...kept, ...second.messages])
}

async function rebalance() {
  const group = `${run}-rebalance`
  const first = await join(group)
  const alone = () => first.partitions.length === PARTITIONS
  await until('the only member has all partitions', alone)
  const second = await join(group)
  await until('two members share the partitions', () => {
    const both = new Set([...first.partitions, ...second.partitions])
    const count = first.partitions.length + second.partitions.length
    return first.partitions.length && second.partitions.length && both.size === PARTITIONS && count === PARTITIONS
  })
  await second.stop()
  await until('the member that stayed has all partitions', alone)
  await first.stop()
}

async function config(type, name, setting) {
  const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type, name }] })
  const found = resources[0].configEntries.find((entry) => entry.configName === setting)
  check(found, `${setting} is not told`)
  return found
}

const alter = (name, value) =>
  admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }],
  })

async function configs() {
  const retention = () => config(ConfigResourceTypes.TOPIC, topic, 'retention.ms')
  same(ConfigSource.DEFAULT_CONFIG, (await retention()).configSource, 'source before')
  await alter('retention.ms', '3600000')
  await until('the altered value is shown', async () => (await retention()).configValue === '3600000')
  same(ConfigSource.TOPIC_CONFIG, (await retention()).configSource, 'source after')
  const refused = await alter('no.such.config', '1').catch((error) => error)
  same('INVALID_CONFIG', refused?.type, 'unknown config')
  const { brokers } = await admin.describeCluster()
  await config(ConfigResourceTypes.BROKER, `${brokers[0].nodeId}`, 'message.max.bytes')
}

async function createPartitions() {
  await create(`${run}-grow`, 2)
  await admin.createPartitions({ topicPartitions: [{ topic: `${run}-grow`, count: 5 }] })
  await until('there are 5 partitions', async () => (await partitionsOf(`${run}-grow`)) === 5)
}

async function deleteRecords() {
  const name = `${run}-cut`
  await create(name, 1)
  await produce(name, Array.from({ length: 10 }, (_, i) => ({ value: `cut-${i}` })))
  await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '5' }] })
  const [{ low, high }] = await admin.fetchTopicOffsets(name)
  same(['5', '10'], [low, high], 'low and high')
  const reader = await join(`${run}-cut`, name)
  await until('5 records', has(reader, 5))
  await reader.stop()
  same('cut-5', reader.messages[0].message.value.toString(), 'first record')
}

const described = async (group) => (await admin.describeGroups([group])).groups[0]
const listed = async (group) => (await admin.listGroups()).groups.some((found) => found.groupId === group)

async function groups() {
  const group = `${run}-groups`
  const reader = await join(group)
  await until('the member has all partitions', () => reader.partitions.length === PARTITIONS)
  check(await listed(group), 'the group is not listed')
  const { state, members } = await described(group)
  same(['Stable', 1], [state, members.length], 'state and members')
  await reader.stop()
  same('Empty', (await described(group)).state, 'state without members')
}

async function committed(group) {
  const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  return partitions.find(({ partition }) => partition === 0).offset
}

// The client sets offsets as a member that joins and leaves at once.
async function groupOffsets() {
  const group = `${run}-offsets`
  for (const offset of ['7', '3']) {
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset }] })
    same(offset, await committed(group), 'committed')
  }
  await admin.deleteGroups([group])
  check(!(await listed(group)), 'the deleted group is listed')
}

async function deleteTopic() {
  await admin.deleteTopics({ topics: [topic] })
  await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
}

async function tell() {
  version('kafkajs', require('kafkajs/package.json').version)
  await admin.connect()
  await feature('create-topic', () => create(topic, PARTITIONS))
  for (const [name, type] of [['none', 'None'], ['gzip', 'GZIP'], ['snappy', 'Snappy'], ['lz4', 'LZ4'], ['zstd', 'ZSTD']]) {
    await feature(`produce-${name}`, () => produceStory(name, CompressionTypes[type]))
  }
  await feature('produce-idempotent', () => produceStory('idempotent', CompressionTypes.None, { idempotent: true }))
  skip('consume-assign', 'KafkaJS reads as a member of a group only')
  await feature('seek-by-time', seekByTime)
  await feature('consume-group', consumeByGroup)
  await feature('commit-resume', commitAndResume)
  await feature('rebalance', rebalance)
  skip('consumer-protocol', 'KafkaJS does not have it')
  await feature('configs', configs)
  await feature('create-partitions', createPartitions)
  await feature('delete-records', deleteRecords)
  await feature('groups', groups)
  await feature('group-offsets', groupOffsets)
  await feature('delete-topic', deleteTopic)
  await admin.disconnect()
}

ZstdCodec.run((zstd) => {
  addCodecs(zstd)
  tell().then(() => process.exit(0))
})
