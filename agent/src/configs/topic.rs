//! Topic settings as one table: Kafka's names, what a value may be, and what holds where nobody set one.
//!
//! Kafka's well-known names are accepted and kept, so that tools which set them work; the README says which of them
//! change anything here. Defaults tell what yaks does: nothing is ever deleted, so retention is unlimited.

use metastore::TopicSettings;

/// What a topic is like that nobody described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Whether asking for a topic creates it.
    pub auto_create: bool,
    /// How many partitions it has.
    pub partition_count: i32,
}

/// One topic setting.
#[derive(Clone, Copy, Debug)]
pub struct TopicConfig {
    /// Kafka's name of it.
    pub name: &'static str,
    /// What holds where nobody set it.
    pub default: &'static str,
    kind: Kind,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Bool,
    /// At least this.
    Int(i32),
    /// At least this.
    Long(i64),
    /// From 0 to 1.
    Ratio,
    OneOf(&'static [&'static str]),
    /// Any of these, separated by commas.
    SomeOf(&'static [&'static str]),
    Text,
}

const LONG_MAX: &str = "9223372036854775807";

const fn row(name: &'static str, default: &'static str, kind: Kind) -> TopicConfig {
    TopicConfig { name, default, kind }
}

/// Every setting a topic may have (Kafka: `TopicConfig.java`, `LogConfig.java`), by name.
pub const TOPIC_CONFIGS: &[TopicConfig] = &[
    row("cleanup.policy", "delete", Kind::SomeOf(&["delete", "compact"])),
    row("compression.gzip.level", "-1", Kind::Int(-1)),
    row("compression.lz4.level", "9", Kind::Int(1)),
    // Batches are stored as the producer sent them; no other value could be kept.
    row("compression.type", "producer", Kind::OneOf(&["producer"])),
    row("compression.zstd.level", "3", Kind::Int(i32::MIN)),
    row("delete.retention.ms", "86400000", Kind::Long(0)),
    row("file.delete.delay.ms", "60000", Kind::Long(0)),
    row("flush.messages", LONG_MAX, Kind::Long(1)),
    row("flush.ms", LONG_MAX, Kind::Long(0)),
    row("follower.replication.throttled.replicas", "", Kind::Text),
    row("index.interval.bytes", "4096", Kind::Int(0)),
    row("leader.replication.throttled.replicas", "", Kind::Text),
    row("local.retention.bytes", "-2", Kind::Long(-2)),
    row("local.retention.ms", "-2", Kind::Long(-2)),
    row("max.compaction.lag.ms", LONG_MAX, Kind::Long(1)),
    row("max.message.bytes", "1048588", Kind::Int(0)),
    row("message.downconversion.enable", "true", Kind::Bool),
    row("message.format.version", "3.0-IV1", Kind::Text),
    row("message.timestamp.after.max.ms", "3600000", Kind::Long(0)),
    row("message.timestamp.before.max.ms", LONG_MAX, Kind::Long(0)),
    row("message.timestamp.difference.max.ms", LONG_MAX, Kind::Long(0)),
    row(
        "message.timestamp.type",
        "CreateTime",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
    ),
    row("min.cleanable.dirty.ratio", "0.5", Kind::Ratio),
    row("min.compaction.lag.ms", "0", Kind::Long(0)),
    row("min.insync.replicas", "1", Kind::Int(1)),
    row("preallocate", "false", Kind::Bool),
    row("remote.log.copy.disable", "false", Kind::Bool),
    row("remote.log.delete.on.disable", "false", Kind::Bool),
    row("remote.storage.enable", "false", Kind::Bool),
    row("retention.bytes", "-1", Kind::Long(-1)),
    row("retention.ms", "-1", Kind::Long(-1)),
    row("segment.bytes", "1073741824", Kind::Int(14)),
    row("segment.index.bytes", "10485760", Kind::Int(4)),
    row("segment.jitter.ms", "0", Kind::Long(0)),
    row("segment.ms", "604800000", Kind::Long(1)),
    row("unclean.leader.election.enable", "false", Kind::Bool),
];

/// Why a setting is refused; the message is the one clients are shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No setting of that name.
    #[error("Unknown topic config name: {0}")]
    UnknownName(String),
    /// A setting without a value.
    #[error("Null value not supported for topic configs: {0}")]
    NoValue(String),
    /// A value it may not have.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    InvalidValue {
        /// The setting.
        name: &'static str,
        /// The value.
        value: String,
        /// What it should have been.
        reason: String,
    },
}

/// Checks one setting; answers its name.
pub fn check(name: &str, value: Option<&str>) -> Result<&'static str, ConfigError> {
    let config = TOPIC_CONFIGS.iter().find(|config| config.name == name);
    let config = config.ok_or_else(|| ConfigError::UnknownName(name.to_owned()))?;
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

/// Every setting with the value that holds, and whether somebody set it.
pub fn effective(settings: &TopicSettings) -> impl Iterator<Item = (&'static str, &str, bool)> {
    TOPIC_CONFIGS.iter().map(|config| match settings.0.get(config.name) {
        Some(value) => (config.name, value.as_str(), true),
        None => (config.name, config.default, false),
    })
}

impl Kind {
    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Bool => one_of(&["true", "false"], value),
            Self::Int(min) => at_least(min, value.parse(), "INT"),
            Self::Long(min) => at_least(min, value.parse(), "LONG"),
            Self::Ratio => match value.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                Ok(_) => Err("Value must be at least 0 and no more than 1".to_owned()),
                Err(_) => Err("Not a number of type DOUBLE".to_owned()),
            },
            Self::OneOf(allowed) => one_of(allowed, value),
            Self::SomeOf(allowed) => value.split(',').try_for_each(|part| one_of(allowed, part.trim())),
            // Postgres's jsonb takes no NUL.
            Self::Text if value.contains('\0') => Err("Text must not contain a NUL character".to_owned()),
            Self::Text => Ok(()),
        }
    }
}

fn at_least<N: PartialOrd + std::fmt::Display, E>(min: N, value: Result<N, E>, kind: &str) -> Result<(), String> {
    match value {
        Ok(value) if value >= min => Ok(()),
        Ok(_) => Err(format!("Value must be at least {min}")),
        Err(_) => Err(format!("Not a number of type {kind}")),
    }
}

fn one_of(allowed: &[&str], value: &str) -> Result<(), String> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(format!("String must be one of: {}", allowed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
