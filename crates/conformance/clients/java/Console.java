import java.time.Duration;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeConsumerGroupsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What a web console asks to draw its pages, with the Java Admin client: java Console BOOTSTRAP RUN. */
public final class Console {
    static final int PARTITIONS = 3;
    static final int RECORDS = 90;
    static final long BASE = System.currentTimeMillis() - 600_000;

    final String bootstrap;
    final Admin admin;
    final String topic;
    final String group;

    Console(String bootstrap, String run, Admin admin) {
        this.bootstrap = bootstrap;
        this.admin = admin;
        this.topic = run + "-console";
        this.group = run + "-console";
    }

    public static void main(String[] args) throws Exception {
        Said.versionOfKafkaClients();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            Console console = new Console(args[0], args[1], admin);
            Said.feature("prepare", console::prepare);
            Said.feature("cluster", console::cluster);
            Said.feature("broker-configs", console::brokerConfigs);
            Said.feature("topics", console::topics);
            Said.feature("topic-configs", console::topicConfigs);
            Said.feature("log-dirs", console::logDirs);
            Said.feature("offsets-by-time", console::offsetsByTime);
            Said.feature("groups-members-lag", console::groups);
        }
    }

    /** Record i has time BASE + i seconds and lies in partition i % 3. */
    void prepare() throws Exception {
        NewTopic created = new NewTopic(topic, Optional.of(PARTITIONS), Optional.empty()).configs(Map.of("retention.ms", "86400000"));
        admin.createTopics(List.of(created)).all().get();
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap), new StringSerializer(), new StringSerializer())) {
            Future<RecordMetadata> last = null;
            for (int i = 0; i < RECORDS; i++) {
                last = producer.send(new ProducerRecord<>(topic, i % PARTITIONS, BASE + i * 1000L, "key", "value " + i));
            }
            producer.flush();
            last.get();
        }
    }

    void cluster() throws Exception {
        DescribeClusterResult cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Said.check(!cluster.clusterId().get().isEmpty(), "no cluster id");
        Collection<Node> nodes = cluster.nodes().get();
        Said.check(!nodes.isEmpty(), "no brokers");
        Said.check(nodes.contains(cluster.controller().get()), "the controller is not among the brokers");
        for (Node node : nodes) {
            Said.check(bootstrap.contains(node.host() + ":" + node.port()), "a broker at " + node + ", not in " + bootstrap);
        }
        // Without an authorizer everybody may do everything.
        Set<AclOperation> all = Set.of(
                AclOperation.CREATE, AclOperation.CLUSTER_ACTION, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS,
                AclOperation.IDEMPOTENT_WRITE, AclOperation.ALTER, AclOperation.DESCRIBE);
        Said.same(all, new HashSet<>(cluster.authorizedOperations().get()), "operations");
    }

    void brokerConfigs() throws Exception {
        for (Node node : admin.describeCluster().nodes().get()) {
            Config config = configs(new ConfigResource(ConfigResource.Type.BROKER, node.idString()));
            expect(config, "message.max.bytes", "1048588", ConfigEntry.ConfigType.INT);
            expect(config, "auto.create.topics.enable", "true", ConfigEntry.ConfigType.BOOLEAN);
            expect(config, "num.partitions", "1", ConfigEntry.ConfigType.INT);
            for (String named : List.of("log.retention.ms", "compression.type", "advertised.listeners")) {
                Said.check(config.get(named) != null, named + " is not told");
            }
        }
    }

    void topics() throws Exception {
        TopicListing listed = admin.listTopics().namesToListings().get().get(topic);
        Said.check(!listed.isInternal(), "the topic is internal");
        DescribeTopicsOptions options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        TopicDescription described = admin.describeTopics(List.of(topic), options).allTopicNames().get().get(topic);
        Said.same(listed.topicId(), described.topicId(), "topic id");
        Said.same(PARTITIONS, described.partitions().size(), "partitions");
        Set<Integer> ids = admin.describeCluster().nodes().get().stream().map(Node::id).collect(Collectors.toSet());
        described.partitions().forEach(partition -> {
            Said.check(ids.contains(partition.leader().id()), "leader " + partition.leader());
            Said.check(partition.replicas().contains(partition.leader()), "the leader is no replica");
            Said.same(partition.replicas(), partition.isr(), "replicas in sync");
        });
        Set<AclOperation> all = Set.of(
                AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.DELETE,
                AclOperation.ALTER, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS);
        Said.same(all, new HashSet<>(described.authorizedOperations()), "operations");
    }

    void topicConfigs() throws Exception {
        Config config = configs(new ConfigResource(ConfigResource.Type.TOPIC, topic));
        ConfigEntry retention = expect(config, "retention.ms", "86400000", ConfigEntry.ConfigType.LONG);
        Said.same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, retention.source(), "source of retention.ms");
        Said.same("retention.ms", retention.synonyms().get(0).name(), "first synonym");
        ConfigEntry policy = expect(config, "cleanup.policy", "delete", ConfigEntry.ConfigType.LIST);
        Said.same(ConfigEntry.ConfigSource.DEFAULT_CONFIG, policy.source(), "source of cleanup.policy");
        expect(config, "max.message.bytes", "1048588", ConfigEntry.ConfigType.INT);
        expect(config, "compression.type", "producer", ConfigEntry.ConfigType.STRING);
        expect(config, "message.timestamp.type", "CreateTime", ConfigEntry.ConfigType.STRING);
        expect(config, "min.insync.replicas", "1", ConfigEntry.ConfigType.INT);
        expect(config, "segment.bytes", "1073741824", ConfigEntry.ConfigType.INT);
    }

    /** Somebody has the bytes of each partition. */
    void logDirs() throws Exception {
        List<Integer> ids = admin.describeCluster().nodes().get().stream().map(Node::id).collect(Collectors.toList());
        Map<Integer, Map<String, LogDirDescription>> dirs = admin.describeLogDirs(ids).allDescriptions().get();
        Said.same(new HashSet<>(ids), dirs.keySet(), "brokers");
        for (int i = 0; i < PARTITIONS; i++) {
            TopicPartition partition = new TopicPartition(topic, i);
            long bytes = dirs.values().stream().flatMap(byPath -> byPath.values().stream())
                    .map(dir -> dir.replicaInfos().get(partition)).filter(info -> info != null).mapToLong(info -> info.size()).sum();
            Said.check(bytes > 100, partition + " has " + bytes + " bytes");
        }
    }

    void offsetsByTime() throws Exception {
        Said.same(0L, offset(0, OffsetSpec.earliest()).offset(), "earliest");
        Said.same(30L, offset(0, OffsetSpec.latest()).offset(), "latest");
        // Record 45 is the 15th of partition 0, and 44 lies before it in partition 2.
        Said.same(15L, offset(0, OffsetSpec.forTimestamp(BASE + 44_000)).offset(), "by time");
        Said.same(BASE + 45_000, offset(0, OffsetSpec.forTimestamp(BASE + 44_000)).timestamp(), "its time");
        Said.same(-1L, offset(0, OffsetSpec.forTimestamp(BASE + 90_000)).offset(), "after the last");
        Said.same(29L, offset(2, OffsetSpec.maxTimestamp()).offset(), "max timestamp");
        Said.same(BASE + 89_000, offset(2, OffsetSpec.maxTimestamp()).timestamp(), "max timestamp's time");
    }

    /** A member that has committed 10 of each partition's 30 records. */
    void groups() throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "group.id", group, "client.id", "drawn", "enable.auto.commit", false);
        try (KafkaConsumer<String, String> member = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            member.subscribe(List.of(topic));
            Said.until("the member has all partitions", () -> {
                member.poll(Duration.ofMillis(100));
                return member.assignment().size() == PARTITIONS;
            });
            member.commitSync(member.assignment().stream().collect(Collectors.toMap(each -> each, each -> new OffsetAndMetadata(10))));
            Said.check(admin.listConsumerGroups().all().get().stream().anyMatch(listed -> listed.groupId().equals(group)), "not listed");
            checkGroup(member);
        }
    }

    void checkGroup(KafkaConsumer<String, String> member) throws Exception {
        DescribeConsumerGroupsOptions options = new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true);
        ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(group), options).all().get().get(group);
        Said.same(ConsumerGroupState.STABLE, described.state(), "state");
        Said.check(admin.describeCluster().nodes().get().contains(described.coordinator()), "coordinator " + described.coordinator());
        MemberDescription only = described.members().iterator().next();
        Said.same("drawn", only.clientId(), "client id");
        Said.check(only.host().startsWith("/"), "host " + only.host());
        Said.same(member.groupMetadata().memberId(), only.consumerId(), "member id");
        Said.same(member.assignment(), only.assignment().topicPartitions(), "the member's partitions");
        Set<AclOperation> all = Set.of(
                AclOperation.READ, AclOperation.DESCRIBE, AclOperation.DELETE, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS);
        Said.same(all, new HashSet<>(described.authorizedOperations()), "operations");
        Map<TopicPartition, OffsetAndMetadata> committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Said.same(PARTITIONS, committed.size(), "partitions with a commit");
        for (Map.Entry<TopicPartition, OffsetAndMetadata> each : committed.entrySet()) {
            long end = offset(each.getKey().partition(), OffsetSpec.latest()).offset();
            Said.same(20L, end - each.getValue().offset(), "lag");
        }
    }

    ListOffsetsResultInfo offset(int partition, OffsetSpec spec) throws Exception {
        TopicPartition asked = new TopicPartition(topic, partition);
        return admin.listOffsets(Map.of(asked, spec)).partitionResult(asked).get();
    }

    Config configs(ConfigResource resource) throws Exception {
        DescribeConfigsOptions all = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return admin.describeConfigs(List.of(resource), all).all().get().get(resource);
    }

    static ConfigEntry expect(Config config, String name, String value, ConfigEntry.ConfigType type) {
        ConfigEntry entry = config.get(name);
        Said.check(entry != null, name + " is not told");
        Said.same(value, entry.value(), name);
        Said.same(type, entry.type(), "type of " + name);
        Said.check(entry.documentation() != null && !entry.documentation().isEmpty(), name + " has no documentation");
        return entry;
    }
}
