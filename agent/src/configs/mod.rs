//! Settings under Kafka's names: what a value may be, what holds where nobody set one, and how they are altered.

pub mod alter;
pub mod broker;
mod kind;
mod setting;
pub mod topic;

pub use broker::BrokerConfigs;
pub use kind::Kind;
pub use setting::{Setting, Source, Synonym};

/// What a topic is like that nobody described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Whether asking for a topic creates it.
    pub auto_create: bool,
    /// How many partitions it has.
    pub partition_count: i32,
}

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
    /// Added to, or taken from, what is no list.
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NoList {
        /// What was to be done.
        operation: &'static str,
        /// The setting.
        name: String,
    },
}
