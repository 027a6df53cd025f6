//! Topic settings as one table: Kafka's names, what a value may be, and what holds where nobody set one.
//!
//! Kafka's well-known names are accepted and kept, so that tools which set them work; the documentation of each says
//! whether it changes anything here. Defaults tell what yaks does: nothing is ever deleted, so retention is unlimited.

use metastore::TopicSettings;

use super::{BrokerConfigs, ConfigError, Kind, Setting, Source, Synonym};

/// One topic setting.
#[derive(Clone, Copy, Debug)]
pub struct TopicConfig {
    /// Kafka's name of it.
    pub name: &'static str,
    /// What holds where nobody set it.
    pub default: &'static str,
    /// What a value may be.
    pub kind: Kind,
    /// The broker setting that holds where the topic has none (Kafka: `ServerTopicConfigSynonyms`).
    pub broker_name: Option<&'static str>,
    /// What it does.
    pub documentation: &'static str,
}

pub(super) const LONG_MAX: &str = "9223372036854775807";

const KEPT: &str = "Kept and shown; yaks has no use for it.";
const LATER: &str = "Kept and shown; nothing is deleted or compacted yet.";
const CODEC: &str = "Kept and shown; batches stay compressed as their producer sent them.";
const NO_FILES: &str = "Kept and shown; there are no segment files here.";
const NOT_TIERED: &str = "Kept and shown; everything is in S3 from the start, nothing is tiered.";

const fn row(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    broker_name: &'static str,
    documentation: &'static str,
) -> TopicConfig {
    TopicConfig {
        name,
        default,
        kind,
        broker_name: Some(broker_name),
        documentation,
    }
}

/// A setting that brokers have no default for.
const fn alone(name: &'static str, default: &'static str, kind: Kind, documentation: &'static str) -> TopicConfig {
    TopicConfig {
        name,
        default,
        kind,
        broker_name: None,
        documentation,
    }
}

/// Every setting a topic may have (Kafka: `TopicConfig.java`, `LogConfig.java`), by name.
pub const TOPIC_CONFIGS: &[TopicConfig] = &[
    row(
        "cleanup.policy",
        "delete",
        Kind::SomeOf(&["delete", "compact"]),
        "log.cleanup.policy",
        LATER,
    ),
    row(
        "compression.gzip.level",
        "-1",
        Kind::Int(-1),
        "compression.gzip.level",
        CODEC,
    ),
    row(
        "compression.lz4.level",
        "9",
        Kind::Int(1),
        "compression.lz4.level",
        CODEC,
    ),
    // Batches are stored as the producer sent them; no other value could be kept.
    row(
        "compression.type",
        "producer",
        Kind::OneOf(&["producer"]),
        "compression.type",
        "Batches stay compressed as their producer sent them; there is no other way here.",
    ),
    row(
        "compression.zstd.level",
        "3",
        Kind::Int(i32::MIN),
        "compression.zstd.level",
        CODEC,
    ),
    row(
        "delete.retention.ms",
        "86400000",
        Kind::Long(0),
        "log.cleaner.delete.retention.ms",
        LATER,
    ),
    row(
        "file.delete.delay.ms",
        "60000",
        Kind::Long(0),
        "log.segment.delete.delay.ms",
        NO_FILES,
    ),
    row(
        "flush.messages",
        LONG_MAX,
        Kind::Long(1),
        "log.flush.interval.messages",
        NO_FILES,
    ),
    row("flush.ms", LONG_MAX, Kind::Long(0), "log.flush.interval.ms", NO_FILES),
    alone("follower.replication.throttled.replicas", "", Kind::List, KEPT),
    row(
        "index.interval.bytes",
        "4096",
        Kind::Int(0),
        "log.index.interval.bytes",
        NO_FILES,
    ),
    alone("leader.replication.throttled.replicas", "", Kind::List, KEPT),
    row(
        "local.retention.bytes",
        "-2",
        Kind::Long(-2),
        "log.local.retention.bytes",
        NOT_TIERED,
    ),
    row(
        "local.retention.ms",
        "-2",
        Kind::Long(-2),
        "log.local.retention.ms",
        NOT_TIERED,
    ),
    row(
        "max.compaction.lag.ms",
        LONG_MAX,
        Kind::Long(1),
        "log.cleaner.max.compaction.lag.ms",
        LATER,
    ),
    row(
        "max.message.bytes",
        "1048588",
        Kind::Int(0),
        "message.max.bytes",
        "Largest record batch the topic takes, in bytes, compressed as it is sent.",
    ),
    row(
        "message.downconversion.enable",
        "true",
        Kind::Bool,
        "log.message.downconversion.enable",
        KEPT,
    ),
    row(
        "message.format.version",
        "3.0-IV1",
        Kind::Text,
        "log.message.format.version",
        "Kept and shown; every batch has message format 2.",
    ),
    row(
        "message.timestamp.after.max.ms",
        "3600000",
        Kind::Long(0),
        "log.message.timestamp.after.max.ms",
        "How far ahead of the broker's clock a timestamp may be, in ms, under CreateTime; a batch beyond is refused.",
    ),
    row(
        "message.timestamp.before.max.ms",
        LONG_MAX,
        Kind::Long(0),
        "log.message.timestamp.before.max.ms",
        "How far behind the broker's clock a timestamp may be, in ms, under CreateTime; a batch beyond is refused.",
    ),
    row(
        "message.timestamp.difference.max.ms",
        LONG_MAX,
        Kind::Long(0),
        "log.message.timestamp.difference.max.ms",
        "Kept and shown; message.timestamp.before.max.ms and message.timestamp.after.max.ms took its place.",
    ),
    row(
        "message.timestamp.type",
        "CreateTime",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "log.message.timestamp.type",
        "Whose time records carry: their producer's, or that of the broker when it took them.",
    ),
    row(
        "min.cleanable.dirty.ratio",
        "0.5",
        Kind::Ratio,
        "log.cleaner.min.cleanable.ratio",
        LATER,
    ),
    row(
        "min.compaction.lag.ms",
        "0",
        Kind::Long(0),
        "log.cleaner.min.compaction.lag.ms",
        LATER,
    ),
    row(
        "min.insync.replicas",
        "1",
        Kind::Int(1),
        "min.insync.replicas",
        "Kept and shown; a batch acknowledged with acks=all is in S3, whatever this says.",
    ),
    row("preallocate", "false", Kind::Bool, "log.preallocate", NO_FILES),
    alone("remote.log.copy.disable", "false", Kind::Bool, NOT_TIERED),
    alone("remote.log.delete.on.disable", "false", Kind::Bool, NOT_TIERED),
    alone("remote.storage.enable", "false", Kind::Bool, NOT_TIERED),
    row("retention.bytes", "-1", Kind::Long(-1), "log.retention.bytes", LATER),
    row("retention.ms", "-1", Kind::Long(-1), "log.retention.ms", LATER),
    row(
        "segment.bytes",
        "1073741824",
        Kind::Int(14),
        "log.segment.bytes",
        NO_FILES,
    ),
    row(
        "segment.index.bytes",
        "10485760",
        Kind::Int(4),
        "log.index.size.max.bytes",
        NO_FILES,
    ),
    row("segment.jitter.ms", "0", Kind::Long(0), "log.roll.jitter.ms", NO_FILES),
    row("segment.ms", "604800000", Kind::Long(1), "log.roll.ms", NO_FILES),
    row(
        "unclean.leader.election.enable",
        "false",
        Kind::Bool,
        "unclean.leader.election.enable",
        KEPT,
    ),
];

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.iter().find(|config| config.name == name)
}

/// Checks one setting; answers its name.
pub fn check(name: &str, value: Option<&str>) -> Result<&'static str, ConfigError> {
    let config = find(name).ok_or_else(|| ConfigError::UnknownName(name.to_owned()))?;
    let value = value.ok_or_else(|| ConfigError::NoValue(name.to_owned()))?;
    config
        .kind
        .check(value.trim())
        .map_err(|reason| ConfigError::InvalidValue {
            name: config.name,
            value: value.to_owned(),
            reason,
        })?;
    Ok(config.name)
}

/// Every setting of a topic with the value that holds: its own, that of this agent, or the default.
pub fn effective<'a>(settings: &'a TopicSettings, broker: &'a BrokerConfigs) -> impl Iterator<Item = Setting<'a>> {
    TOPIC_CONFIGS.iter().map(|config| {
        let own = settings.0.get(config.name).map(|value| Synonym {
            name: config.name,
            value: Some(value),
            source: Source::Topic,
        });
        let behind = config.broker_name.map(|name| broker.synonyms(name, config.default));
        let synonyms: Vec<Synonym<'a>> = own.into_iter().chain(behind.into_iter().flatten()).collect();
        let holds = synonyms.first();
        Setting {
            name: config.name,
            value: holds.map_or(Some(config.default), |holds| holds.value),
            source: holds.map_or(Source::Default, |holds| holds.source),
            read_only: false,
            kind: config.kind,
            documentation: config.documentation,
            synonyms,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_default_is_a_value_that_would_be_accepted() {
        for config in TOPIC_CONFIGS {
            assert_eq!(check(config.name, Some(config.default)), Ok(config.name));
        }
        assert!(TOPIC_CONFIGS.is_sorted_by_key(|config| config.name));
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let message = |name, value| check(name, value).unwrap_err().to_string();
        assert_eq!(message("retention", Some("1")), "Unknown topic config name: retention");
        assert_eq!(
            message("retention.ms", None),
            "Null value not supported for topic configs: retention.ms"
        );
        assert_eq!(
            message("retention.ms", Some("x")),
            "Invalid value x for configuration retention.ms: Not a number of type LONG"
        );
        assert!(message("compression.type", Some("lz4")).contains("producer"));
        assert!(message("segment.bytes", Some("3000000000")).contains("INT"));
        assert!(message("cleanup.policy", Some("compact,x")).contains("delete, compact"));
        assert!(message("min.cleanable.dirty.ratio", Some("NaN")).contains("at least 0"));
        assert_eq!(check("cleanup.policy", Some("compact, delete")), Ok("cleanup.policy"));
    }

    #[test]
    fn what_the_topic_says_goes_before_the_agent_and_that_before_the_default() {
        let agent = BrokerConfigs::for_tests(&["--message-max-bytes=5000"]);
        let shown = |settings: &TopicSettings| {
            let setting = effective(settings, &agent).find(|setting| setting.name == "max.message.bytes");
            let setting = setting.unwrap();
            let synonyms = setting.synonyms.iter().map(|synonym| synonym.value.unwrap().to_owned());
            (
                setting.value.unwrap().to_owned(),
                setting.source,
                synonyms.collect::<Vec<_>>(),
            )
        };
        let unset = TopicSettings::default();
        assert_eq!(
            shown(&unset),
            (
                "5000".into(),
                Source::StaticBroker,
                vec!["5000".into(), "1048588".into()]
            )
        );
        let set = TopicSettings(BTreeMap::from([("max.message.bytes".to_owned(), "7".to_owned())]));
        assert_eq!(
            shown(&set),
            (
                "7".into(),
                Source::Topic,
                vec!["7".into(), "5000".into(), "1048588".into()]
            )
        );
    }
}
