import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The story that every client tells, with kafka-clients: java Story BOOTSTRAP RUN. */
public final class Story {
    static final int PARTITIONS = 3;
    static final int RECORDS = 30;
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};

    final String bootstrap;
    final String run;
    final String topic;
    final Admin admin;
    final Set<String> produced = new HashSet<>();

    Story(String bootstrap, String run, Admin admin) {
        this.bootstrap = bootstrap;
        this.run = run;
        this.topic = run + "-story";
        this.admin = admin;
    }

    public static void main(String[] args) throws Exception {
        Said.versionOfKafkaClients();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            new Story(args[0], args[1], admin).tell();
        }
    }

    void tell() {
        Said.feature("create-topic", () -> create(topic, PARTITIONS));
        for (String codec : CODECS) {
            Said.feature("produce-" + codec, () -> produceStory(codec, Map.of("compression.type", codec)));
        }
        Said.feature("produce-idempotent", () -> produceStory("idempotent", Map.of("enable.idempotence", true)));
        Said.feature("consume-assign", this::consumeByAssign);
        Said.feature("seek-by-time", this::seekByTime);
        Said.feature("consume-group", this::consumeByGroup);
        Said.feature("commit-resume", this::commitAndResume);
        Said.feature("rebalance", () -> rebalance(run + "-rebalance", GroupType.CLASSIC, Map.of()));
        Said.feature("consumer-protocol", () -> rebalance(run + "-848", GroupType.CONSUMER, Map.of("group.protocol", "consumer")));
        Said.feature("configs", this::configs);
        Said.feature("create-partitions", this::createPartitions);
        Said.feature("delete-records", this::deleteRecords);
        Said.feature("groups", this::groups);
        Said.feature("group-offsets", this::groupOffsets);
        Said.feature("delete-topic", this::deleteTopic);
    }

    void create(String name, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, Optional.of(partitions), Optional.empty()))).all().get();
        Said.until(name + " has " + partitions + " partitions", () -> partitionsOf(name) == partitions);
    }

    void produceStory(String label, Map<String, Object> settings) throws Exception {
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, i % PARTITIONS, "k" + i, label + "-" + i);
            record.headers().add("label", label.getBytes());
            records.add(record);
            produced.add(record.value());
        }
        produce(records, settings);
    }

    void consumeByAssign() throws Exception {
        try (KafkaConsumer<String, String> consumer = consumer(Map.of())) {
            consumer.assign(partitions());
            consumer.seekToBeginning(partitions());
            checkStory(read(consumer, produced.size()));
        }
    }

    /** All batches are the producer's choice: a time in the middle of a batch must find its record. */
    void seekByTime() throws Exception {
        TopicPartition partition = new TopicPartition(run + "-time", 0);
        create(partition.topic(), 1);
        long base = System.currentTimeMillis() - 60_000;
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            records.add(new ProducerRecord<>(partition.topic(), 0, base + i * 1000, null, "at-" + i));
        }
        produce(records, Map.of());
        try (KafkaConsumer<String, String> consumer = consumer(Map.of())) {
            Said.same(5L, consumer.offsetsForTimes(Map.of(partition, base + 4500)).get(partition).offset(), "offset");
            Said.check(consumer.offsetsForTimes(Map.of(partition, base + 9001)).get(partition) == null, "offset after the last");
            consumer.assign(List.of(partition));
            consumer.seek(partition, 5);
            Said.same("at-5", read(consumer, 5).get(0).value(), "first record");
        }
    }

    void consumeByGroup() throws Exception {
        try (KafkaConsumer<String, String> consumer = member(run + "-group", Map.of())) {
            checkStory(read(consumer, produced.size()));
        }
    }

    void commitAndResume() throws Exception {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        try (KafkaConsumer<String, String> first = member(run + "-resume", Map.of("enable.auto.commit", false, "max.poll.records", 10))) {
            records.addAll(read(first, 20));
            first.commitSync();
        }
        Said.check(records.size() < produced.size(), "the first member read everything");
        try (KafkaConsumer<String, String> second = member(run + "-resume", Map.of())) {
            records.addAll(read(second, produced.size() - records.size()));
        }
        checkStory(records);
    }

    void rebalance(String group, GroupType type, Map<String, Object> settings) throws Exception {
        try (KafkaConsumer<String, String> first = member(group, settings)) {
            Said.until("the only member has all partitions", () -> assigned(first).size() == PARTITIONS);
            try (KafkaConsumer<String, String> second = member(group, settings)) {
                Said.until("two members share the partitions", () -> share(assigned(first), assigned(second)));
                Said.same(Optional.of(type), listed(group).orElseThrow().type(), "the group's type");
            }
            Said.until("the member that stayed has all partitions", () -> assigned(first).size() == PARTITIONS);
        }
    }

    void configs() throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Said.same(ConfigEntry.ConfigSource.DEFAULT_CONFIG, config(resource).get("retention.ms").source(), "source before");
        alter(resource, "retention.ms", "3600000");
        Said.until("the altered value is shown", () -> config(resource).get("retention.ms").value().equals("3600000"));
        ConfigEntry altered = config(resource).get("retention.ms");
        Said.same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, altered.source(), "source after");
        try {
            alter(resource, "no.such.config", "1");
            Said.check(false, "an unknown config was taken");
        } catch (ExecutionException refused) {
            Said.check(refused.getCause() instanceof InvalidConfigurationException, "unknown config: " + refused.getCause());
        }
        int broker = admin.describeCluster().nodes().get().iterator().next().id();
        Config settings = config(new ConfigResource(ConfigResource.Type.BROKER, "" + broker));
        Said.check(settings.get("message.max.bytes") != null, "the broker does not tell message.max.bytes");
    }

    void createPartitions() throws Exception {
        String name = run + "-grow";
        create(name, 2);
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
        Said.until("there are 5 partitions", () -> partitionsOf(name) == 5);
    }

    void deleteRecords() throws Exception {
        TopicPartition partition = new TopicPartition(run + "-cut", 0);
        create(partition.topic(), 1);
        List<ProducerRecord<String, String>> records = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            records.add(new ProducerRecord<>(partition.topic(), "cut-" + i));
        }
        produce(records, Map.of());
        Map<TopicPartition, RecordsToDelete> cut = Map.of(partition, RecordsToDelete.beforeOffset(5));
        Said.same(5L, admin.deleteRecords(cut).lowWatermarks().get(partition).get().lowWatermark(), "low watermark");
        try (KafkaConsumer<String, String> consumer = consumer(Map.of())) {
            Said.same(5L, consumer.beginningOffsets(List.of(partition)).get(partition), "beginning");
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            Said.same("cut-5", read(consumer, 5).get(0).value(), "first record");
        }
    }

    void groups() throws Exception {
        String group = run + "-groups";
        try (KafkaConsumer<String, String> member = member(group, Map.of())) {
            Said.until("the member has all partitions", () -> assigned(member).size() == PARTITIONS);
            Said.same(Optional.of(ConsumerGroupState.STABLE), listed(group).orElseThrow().state(), "listed state");
            ConsumerGroupDescription described = described(group);
            Said.same(ConsumerGroupState.STABLE, described.state(), "state");
            Said.same("range", described.partitionAssignor(), "assignor");
            Said.same(1, described.members().size(), "members");
            Set<TopicPartition> theirs = described.members().iterator().next().assignment().topicPartitions();
            Said.same(new HashSet<>(partitions()), theirs, "the member's partitions");
        }
        Said.same(ConsumerGroupState.EMPTY, described(group).state(), "state without members");
    }

    void groupOffsets() throws Exception {
        String group = run + "-offsets";
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = consumer(Map.of("group.id", group))) {
            consumer.assign(List.of(partition));
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(7, "seven")));
        }
        Said.same(new OffsetAndMetadata(7, "seven").toString(), committed(group).toString(), "committed");
        admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(3))).all().get();
        Said.same(3L, committed(group).offset(), "altered");
        admin.deleteConsumerGroups(List.of(group)).all().get();
        Said.check(listed(group).isEmpty(), "the deleted group is listed");
    }

    void deleteTopic() throws Exception {
        admin.deleteTopics(List.of(topic)).all().get();
        Said.until("the topic is gone", () -> !admin.listTopics().names().get().contains(topic));
    }

    // --- how ---

    void produce(List<ProducerRecord<String, String>> records, Map<String, Object> settings) throws Exception {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", bootstrap);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(all, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (ProducerRecord<String, String> record : records) {
                acks.add(producer.send(record));
            }
            for (Future<RecordMetadata> ack : acks) {
                Said.check(ack.get().hasOffset(), "an ack without an offset");
            }
        }
    }

    KafkaConsumer<String, String> consumer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", bootstrap);
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    KafkaConsumer<String, String> member(String group, Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("group.id", group);
        all.put("auto.offset.reset", "earliest");
        KafkaConsumer<String, String> consumer = consumer(all);
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) throws Exception {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        Said.until(count + " records", () -> {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            return records.size() >= count;
        });
        return records;
    }

    /** All that was produced, once, in order, without a hole, headers and all. */
    void checkStory(List<ConsumerRecord<String, String>> records) {
        Map<Integer, Long> next = new HashMap<>();
        Set<String> values = new HashSet<>();
        for (ConsumerRecord<String, String> record : records) {
            Said.same(next.getOrDefault(record.partition(), 0L), record.offset(), "offset");
            next.put(record.partition(), record.offset() + 1);
            String label = new String(record.headers().lastHeader("label").value());
            Said.same(label + "-" + record.key().substring(1), record.value(), "value");
            values.add(record.value());
        }
        Said.same(produced, values, "values");
        Said.same(produced.size(), records.size(), "records");
    }

    List<TopicPartition> partitions() {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int i = 0; i < PARTITIONS; i++) {
            partitions.add(new TopicPartition(topic, i));
        }
        return partitions;
    }

    static Set<TopicPartition> assigned(KafkaConsumer<String, String> member) {
        member.poll(Duration.ofMillis(100));
        return member.assignment();
    }

    static boolean share(Set<TopicPartition> first, Set<TopicPartition> second) {
        Set<TopicPartition> both = new HashSet<>(first);
        both.addAll(second);
        return !first.isEmpty() && !second.isEmpty() && both.size() == PARTITIONS && first.size() + second.size() == PARTITIONS;
    }

    int partitionsOf(String name) throws Exception {
        if (!admin.listTopics().names().get().contains(name)) {
            return 0;
        }
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size();
    }

    Config config(ConfigResource resource) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    void alter(ConfigResource resource, String name, String value) throws Exception {
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
    }

    Optional<ConsumerGroupListing> listed(String group) throws Exception {
        return admin.listConsumerGroups().all().get().stream().filter(listing -> listing.groupId().equals(group)).findFirst();
    }

    ConsumerGroupDescription described(String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    OffsetAndMetadata committed(String group) throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(new TopicPartition(topic, 0));
    }
}
