//! How a topic's settings are altered. Pure: settings and wishes in, settings out.

use metastore::TopicSettings;

use super::ConfigError;
use super::topic::{check, find};

/// What is to be done with a setting; the numbers are those of Kafka's `AlterConfigOp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set it.
    Set,
    /// Forget it, so that the default holds.
    Delete,
    /// Add to the list that it is.
    Append,
    /// Take from that list.
    Subtract,
}

/// A wish.
#[derive(Clone, Debug)]
pub struct Alteration<'a> {
    /// Kafka's name of the setting.
    pub name: &'a str,
    /// What is to be done.
    pub operation: Operation,
    /// The value, or a part of it.
    pub value: &'a str,
}

impl Operation {
    /// The operation of a number.
    pub fn of(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }
}

/// The settings after all wishes, or why none is granted (IncrementalAlterConfigs, KIP-339).
pub fn altered(current: &TopicSettings, alterations: &[Alteration<'_>]) -> Result<TopicSettings, ConfigError> {
    let mut settings = current.clone();
    for alteration in alterations {
        let name = alteration.name;
        match alteration.operation {
            Operation::Set => set(&mut settings, name, alteration.value)?,
            Operation::Delete => {
                settings.0.remove(name);
            }
            Operation::Append => change_list(&mut settings, name, "APPEND", |list| {
                for part in parts(alteration.value) {
                    if !list.contains(&part) {
                        list.push(part);
                    }
                }
            })?,
            Operation::Subtract => change_list(&mut settings, name, "SUBTRACT", |list| {
                list.retain(|part| !parts(alteration.value).contains(part));
            })?,
        }
    }
    Ok(settings)
}

/// These settings and no others (AlterConfigs).
pub fn replaced<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>) -> Result<TopicSettings, ConfigError> {
    let mut settings = TopicSettings::default();
    for (name, value) in wanted {
        set(&mut settings, name, value)?;
    }
    Ok(settings)
}

fn set(settings: &mut TopicSettings, name: &str, value: &str) -> Result<(), ConfigError> {
    let name = check(name, Some(value))?;
    settings.0.insert(name.to_owned(), value.trim().to_owned());
    Ok(())
}

fn change_list(
    settings: &mut TopicSettings,
    name: &str,
    operation: &'static str,
    change: impl FnOnce(&mut Vec<String>),
) -> Result<(), ConfigError> {
    let no_list = || ConfigError::NoList {
        operation,
        name: name.to_owned(),
    };
    let config = find(name).filter(|config| config.kind.is_list()).ok_or_else(no_list)?;
    // Kafka adds to the default where nobody set anything.
    let before = parts(settings.0.get(name).map_or(config.default, String::as_str));
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        Ok(())
    } else {
        set(settings, name, &after.join(","))
    }
}

fn parts(list: &str) -> Vec<String> {
    let parts = list.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> TopicSettings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        TopicSettings(pairs.iter().map(owned).collect())
    }

    fn alter(current: &[(&str, &str)], wishes: &[(&str, Operation, &str)]) -> Result<TopicSettings, ConfigError> {
        let wishes: Vec<Alteration<'_>> = wishes
            .iter()
            .map(|&(name, operation, value)| Alteration { name, operation, value })
            .collect();
        altered(&settings(current), &wishes)
    }

    #[test]
    fn what_is_not_named_stays_and_what_is_deleted_goes() {
        let current = [("retention.ms", "5"), ("segment.ms", "6")];
        let wishes = [
            ("retention.ms", Operation::Delete, ""),
            ("flush.ms", Operation::Set, " 7 "),
            ("segment.bytes", Operation::Delete, ""),
        ];
        assert_eq!(
            alter(&current, &wishes),
            Ok(settings(&[("flush.ms", "7"), ("segment.ms", "6")]))
        );
    }

    #[test]
    fn lists_are_added_to_and_taken_from() {
        let policy = |current: &[(&str, &str)], operation, value| {
            alter(current, &[("cleanup.policy", operation, value)])
                .map(|settings| settings.0.get("cleanup.policy").cloned())
        };
        let both = Ok(Some("delete,compact".to_owned()));
        assert_eq!(policy(&[], Operation::Append, "compact"), both);
        assert_eq!(policy(&[], Operation::Append, "delete"), Ok(None));
        let set = [("cleanup.policy", "delete,compact")];
        assert_eq!(policy(&set, Operation::Append, "compact,delete"), both);
        assert_eq!(
            policy(&set, Operation::Subtract, "delete"),
            Ok(Some("compact".to_owned()))
        );
        assert_eq!(policy(&set, Operation::Subtract, "x"), both);
        assert!(policy(&set, Operation::Append, "x").is_err());
    }

    #[test]
    fn one_wrong_wish_leaves_all_as_it_was() {
        let wishes = [("flush.ms", Operation::Set, "7"), ("flush.ms", Operation::Append, "7")];
        assert_eq!(
            alter(&[], &wishes).unwrap_err().to_string(),
            "Can't APPEND to key flush.ms because its type is not LIST."
        );
        let unknown = alter(&[], &[("no.such", Operation::Set, "1")]);
        assert_eq!(unknown, Err(ConfigError::UnknownName("no.such".to_owned())));
    }

    #[test]
    fn replacing_forgets_what_is_not_named() {
        let wanted = [("flush.ms", "7")];
        assert_eq!(replaced(wanted.into_iter()), Ok(settings(&wanted)));
        assert!(replaced([("flush.ms", "-7")].into_iter()).is_err());
    }
}
