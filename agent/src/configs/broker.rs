//! The agent's own settings under Kafka's names, where they have one there. None can be altered while it runs: the
//! environment gives them, and a deployment changes them.

use types::NodeId;
use types::limits::{CONNECTION_IDLE_MS, FRAME_BYTES_MAX, OFFSET_METADATA_BYTES_MAX, PRODUCER_ID_EXPIRY_MS};

use super::topic::LONG_MAX;
use super::{Kind, Setting, Source, Synonym};
use crate::config::Config;
use crate::handlers::describe_topic_partitions::PARTITIONS_PER_ANSWER_MAX;
use crate::listeners::Listener;

/// One broker setting.
#[derive(Clone, Debug)]
struct BrokerConfig {
    name: &'static str,
    /// `None`: nothing was set, and there is no default.
    value: Option<String>,
    /// Kafka's default, or ours where Kafka's cannot hold here.
    default: Option<&'static str>,
    kind: Kind,
    documentation: &'static str,
}

/// All of them, by name.
#[derive(Clone, Debug)]
pub struct BrokerConfigs(Vec<BrokerConfig>);

fn row(
    name: &'static str,
    value: impl ToString,
    default: &'static str,
    kind: Kind,
    documentation: &'static str,
) -> BrokerConfig {
    BrokerConfig {
        name,
        value: Some(value.to_string()),
        default: Some(default),
        kind,
        documentation,
    }
}

/// What is the same for every agent.
fn fixed(name: &'static str, value: &'static str, kind: Kind, documentation: &'static str) -> BrokerConfig {
    row(name, value, value, kind, documentation)
}

/// What has no default.
fn own(name: &'static str, value: Option<String>, kind: Kind, documentation: &'static str) -> BrokerConfig {
    BrokerConfig {
        name,
        value,
        default: None,
        kind,
        documentation,
    }
}

impl BrokerConfigs {
    /// Those of an agent that runs with this configuration under this id.
    pub fn of(config: &Config, node: NodeId) -> Self {
        let mut rows = identity(config, node);
        rows.extend(limits(config));
        rows.extend(topics(config));
        rows.sort_by_key(|row| row.name);
        Self(rows)
    }

    /// Every setting with the value that holds.
    pub fn effective(&self) -> impl Iterator<Item = Setting<'_>> {
        self.0.iter().map(|config| {
            let synonyms = config.synonyms();
            Setting {
                name: config.name,
                value: config.value.as_deref(),
                source: synonyms.first().map_or(Source::Default, |holds| holds.source),
                read_only: true,
                kind: config.kind,
                documentation: config.documentation,
                synonyms,
            }
        })
    }

    /// Whether there is a setting of this name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// What a topic setting whose broker setting is `name` falls back to: what that is set to, and the default.
    pub(super) fn synonyms(&self, name: &'static str, default: &'static str) -> Vec<Synonym<'_>> {
        match self.find(name) {
            Some(config) => config.synonyms(),
            None => vec![Synonym {
                name,
                value: Some(default),
                source: Source::Default,
            }],
        }
    }

    fn find(&self, name: &str) -> Option<&BrokerConfig> {
        self.0.iter().find(|config| config.name == name)
    }

    /// Those of a command line.
    #[cfg(test)]
    pub(crate) fn for_tests(args: &[&str]) -> Self {
        use clap::Parser;
        let args = std::iter::once("yaks-agent").chain(args.iter().copied());
        Self::of(&Config::try_parse_from(args).unwrap(), NodeId(0))
    }
}

impl BrokerConfig {
    fn synonyms(&self) -> Vec<Synonym<'_>> {
        let synonym = |value, source| Synonym {
            name: self.name,
            value: Some(value),
            source,
        };
        let set = self.value.as_deref().filter(|value| Some(*value) != self.default);
        let set = set.map(|value| synonym(value, Source::StaticBroker));
        let default = self.default.map(|value| synonym(value, Source::Default));
        set.into_iter().chain(default).collect()
    }
}

fn identity(config: &Config, node: NodeId) -> Vec<BrokerConfig> {
    let broker = &config.broker;
    let listeners = config.listeners();
    let all = |show: fn(&Listener) -> String| Some(listeners.iter().map(show).collect::<Vec<_>>().join(","));
    let rack = Some(broker.rack.clone()).filter(|rack| !rack.is_empty());
    vec![
        own(
            "advertised.listeners",
            all(|listener| format!("{}://{}:{}", listener.name, listener.host, listener.port)),
            Kind::List,
            "Where clients are told to connect to.",
        ),
        own("broker.id", Some(node.to_string()), Kind::Int(0), "This agent's id."),
        own("broker.rack", rack, Kind::Text, "The zone of this agent."),
        own(
            "listeners",
            all(|listener| format!("{}://{}", listener.name, listener.bind)),
            Kind::List,
            "Where this agent listens.",
        ),
        own(
            "log.dirs",
            Some(log_dir(config)),
            Kind::List,
            "Where the records are: the bucket that all agents share.",
        ),
        own("node.id", Some(node.to_string()), Kind::Int(0), "This agent's id."),
        own(
            "process.roles",
            Some("broker".to_owned()),
            Kind::List,
            "There are no controllers.",
        ),
    ]
}

/// The one place that holds every log.
pub fn log_dir(config: &Config) -> String {
    format!("s3://{}", config.s3.bucket)
}

fn limits(config: &Config) -> Vec<BrokerConfig> {
    vec![
        row(
            "connections.max.idle.ms",
            CONNECTION_IDLE_MS,
            "600000",
            Kind::Long(0),
            "After how long an idle connection is closed.",
        ),
        row(
            "fetch.max.bytes",
            config.broker.fetch_max_bytes,
            "57671680",
            Kind::Int(1024),
            "Most bytes of one fetch response.",
        ),
        row(
            "max.connections",
            config.broker.connections_max,
            "2147483647",
            Kind::Int(0),
            "Most connections at once; more wait until one is closed.",
        ),
        row(
            "max.request.partition.size.limit",
            PARTITIONS_PER_ANSWER_MAX,
            "2000",
            Kind::Int(1),
            "Most partitions in one answer of DescribeTopicPartitions.",
        ),
        row(
            "message.max.bytes",
            config.write.message_max_bytes,
            "1048588",
            Kind::Int(0),
            "Largest record batch taken where the topic says nothing.",
        ),
        row(
            "offset.metadata.max.bytes",
            OFFSET_METADATA_BYTES_MAX,
            "4096",
            Kind::Int(0),
            "Longest text that may be kept with a committed offset.",
        ),
        row(
            "producer.id.expiration.ms",
            PRODUCER_ID_EXPIRY_MS,
            "86400000",
            Kind::Int(1),
            "How long a silent idempotent producer is remembered.",
        ),
        row(
            "socket.request.max.bytes",
            FRAME_BYTES_MAX,
            "104857600",
            Kind::Int(1),
            "Largest request taken.",
        ),
    ]
}

fn topics(config: &Config) -> Vec<BrokerConfig> {
    vec![
        row(
            "auto.create.topics.enable",
            config.broker.auto_create_topics,
            "true",
            Kind::Bool,
            "Whether a client's question for a topic that is not there creates it.",
        ),
        fixed(
            "auto.leader.rebalance.enable",
            "true",
            Kind::Bool,
            "Leaders follow the live agents by themselves.",
        ),
        fixed(
            "compression.type",
            "producer",
            Kind::Text,
            "Batches stay as their producer sent them.",
        ),
        fixed(
            "default.replication.factor",
            "1",
            Kind::Int(1),
            "Replicas shown; the copies are S3's.",
        ),
        fixed("delete.topic.enable", "true", Kind::Bool, "Topics can be deleted."),
        fixed(
            "log.cleanup.policy",
            "delete",
            Kind::List,
            "What a topic does that says nothing.",
        ),
        fixed(
            "log.message.timestamp.after.max.ms",
            "3600000",
            Kind::Long(0),
            "What holds where a topic says nothing.",
        ),
        fixed(
            "log.message.timestamp.before.max.ms",
            LONG_MAX,
            Kind::Long(0),
            "What holds where a topic says nothing.",
        ),
        fixed(
            "log.message.timestamp.type",
            "CreateTime",
            Kind::Text,
            "What holds where a topic says nothing.",
        ),
        fixed(
            "log.retention.bytes",
            "-1",
            Kind::Long(-1),
            "What holds where a topic says nothing.",
        ),
        fixed(
            "log.retention.ms",
            "-1",
            Kind::Long(-1),
            "Nothing is deleted where a topic says nothing.",
        ),
        fixed(
            "min.insync.replicas",
            "1",
            Kind::Int(1),
            "What is acknowledged with acks=all is in S3.",
        ),
        row(
            "num.partitions",
            config.broker.num_partitions,
            "1",
            Kind::Int(1),
            "Partitions of a topic created without a count.",
        ),
        fixed(
            "unclean.leader.election.enable",
            "false",
            Kind::Bool,
            "No election can lose anything.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: &[&str], name: &str) -> (Option<String>, Source) {
        let configs = BrokerConfigs::for_tests(args);
        let setting = configs.effective().find(|setting| setting.name == name).unwrap();
        (setting.value.map(str::to_owned), setting.source)
    }

    #[test]
    fn settings_are_shown_as_the_agent_runs_with_them() {
        assert_eq!(shown(&[], "num.partitions"), (Some("1".to_owned()), Source::Default));
        let set = shown(&["--num-partitions=7"], "num.partitions");
        assert_eq!(set, (Some("7".to_owned()), Source::StaticBroker));
        assert_eq!(shown(&[], "broker.rack"), (None, Source::Default));
        let listener = shown(
            &["--advertised-host=example", "--advertised-port=19092"],
            "advertised.listeners",
        );
        assert_eq!(listener.0.unwrap(), "PLAINTEXT://example:19092");
    }

    #[test]
    fn every_value_is_one_that_its_kind_allows_and_names_are_there_once() {
        let configs = BrokerConfigs::for_tests(&["--rack=a"]);
        for setting in configs.effective() {
            let value = setting.value.unwrap();
            assert_eq!(setting.kind.check(value), Ok(()), "{}", setting.name);
            assert!(setting.read_only);
        }
        assert!(configs.0.is_sorted_by(|a, b| a.name < b.name));
    }
}
