//! A setting as it is shown: its value, and where that comes from.

use super::Kind;

/// Where a value comes from; the numbers are those of Kafka's `ConfigSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// Somebody set it for this topic.
    Topic = 1,
    /// The agent was started with it.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

/// A name under which a value was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym<'a> {
    /// The name.
    pub name: &'static str,
    /// The value there.
    pub value: Option<&'a str>,
    /// Whose it is.
    pub source: Source,
}

/// A setting with the value that holds.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Kafka's name of it.
    pub name: &'static str,
    /// The value that holds.
    pub value: Option<&'a str>,
    /// Where that comes from.
    pub source: Source,
    /// Whether it cannot be altered.
    pub read_only: bool,
    /// What a value may be.
    pub kind: Kind,
    /// What it does.
    pub documentation: &'static str,
    /// All places where a value was looked for and found, the one that holds first.
    pub synonyms: Vec<Synonym<'a>>,
}
