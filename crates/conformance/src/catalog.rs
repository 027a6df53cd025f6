//! The clients, and what each of them has to speak of.

/// What a client's program is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// The story that all clients tell.
    Story,
    /// The tools of Apache Kafka.
    Tools,
    /// What a web console asks.
    Console,
}

/// A client; `install.sh` knows how to run it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) suite: Suite,
}

/// All of them; those that take longest come first.
pub(crate) const CLIENTS: [Client; 11] = [
    client("tools-4", Suite::Tools),
    client("tools-3.9", Suite::Tools),
    client("kafkajs", Suite::Story),
    client("kcat", Suite::Story),
    client("java-4", Suite::Story),
    client("java-3.9", Suite::Story),
    client("confluent-kafka", Suite::Story),
    client("franz-go", Suite::Story),
    client("kafka-python", Suite::Story),
    client("aiokafka", Suite::Story),
    client("console", Suite::Console),
];

const fn client(name: &'static str, suite: Suite) -> Client {
    Client { name, suite }
}

impl Suite {
    pub(crate) const ALL: [Self; 3] = [Self::Story, Self::Tools, Self::Console];

    /// What the table is called.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Story => "Clients",
            Self::Tools => "Tools of Apache Kafka",
            Self::Console => "What a web console asks",
        }
    }

    /// What every client of the suite has to speak of, in the order of the story.
    pub(crate) fn features(self) -> &'static [&'static str] {
        match self {
            Self::Story => &[
                "create-topic",
                "produce-none",
                "produce-gzip",
                "produce-snappy",
                "produce-lz4",
                "produce-zstd",
                "produce-idempotent",
                "consume-assign",
                "seek-by-time",
                "consume-group",
                "commit-resume",
                "rebalance",
                "consumer-protocol",
                "configs",
                "create-partitions",
                "delete-records",
                "groups",
                "group-offsets",
                "delete-topic",
            ],
            Self::Tools => &[
                "kafka-topics:create",
                "kafka-topics:describe",
                "kafka-topics:alter",
                "kafka-configs:topics",
                "kafka-configs:brokers",
                "kafka-console-producer",
                "kafka-console-consumer",
                "kafka-get-offsets",
                "kafka-consumer-groups:list",
                "kafka-consumer-groups:describe",
                "kafka-consumer-groups:members",
                "kafka-consumer-groups:reset-offsets",
                "kafka-consumer-groups:delete",
                "kafka-verifiable-producer",
                "kafka-verifiable-consumer",
                "kafka-producer-perf-test",
                "kafka-consumer-perf-test",
                "kafka-topics:delete",
            ],
            Self::Console => &[
                "prepare",
                "cluster",
                "broker-configs",
                "topics",
                "topic-configs",
                "log-dirs",
                "offsets-by-time",
                "groups-members-lag",
            ],
        }
    }
}

/// The client of that name.
pub(crate) fn find(name: &str) -> Result<&'static Client, String> {
    let known = || CLIENTS.map(|client| client.name).join(", ");
    let found = CLIENTS.iter().find(|client| client.name == name);
    found.ok_or_else(|| format!("no client of that name: there are {}", known()))
}
