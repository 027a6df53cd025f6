//! What a client's program prints: `VERSION name version`, and of each feature `PASS feature`, `FAIL feature reason`, or
//! `SKIP feature reason` where the client does not have it. Other lines are its own affair.

use std::collections::BTreeMap;

/// What became of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    /// The client does not have it.
    Skipped(String),
}

/// All that a program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Of the packages in use.
    pub(crate) versions: Vec<(String, String)>,
    /// By feature; none of those asked for is missing.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
}

/// Reads the output of a program that ended as `ending` tells. A feature that it did not speak of has failed, and so has
/// one that nobody asked for: a misspelt name must not pass.
pub(crate) fn read(output: &str, features: &[&str], ending: &str) -> Said {
    let mut said = Said::default();
    for line in output.lines() {
        said.hear(line, features);
    }
    for feature in features {
        let silent = || Outcome::Failed(format!("nothing was said of it: {ending}"));
        said.outcomes.entry((*feature).to_owned()).or_insert_with(silent);
    }
    said
}

impl Said {
    fn hear(&mut self, line: &str, features: &[&str]) {
        let mut words = line.splitn(3, ' ');
        let (Some(word), Some(name)) = (words.next(), words.next()) else {
            return;
        };
        let rest = words.next().unwrap_or_default().to_owned();
        let outcome = match word {
            "VERSION" => return self.versions.push((name.to_owned(), rest)),
            "PASS" => Outcome::Passed,
            "FAIL" => Outcome::Failed(rest),
            "SKIP" => Outcome::Skipped(rest),
            _ => return,
        };
        let outcome = if features.contains(&name) {
            outcome
        } else {
            Outcome::Failed("nobody asked for it".to_owned())
        };
        if self.outcomes.insert(name.to_owned(), outcome).is_some() {
            let twice = Outcome::Failed("spoken of twice".to_owned());
            self.outcomes.insert(name.to_owned(), twice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: &str) -> Outcome {
        Outcome::Failed(reason.to_owned())
    }

    #[test]
    fn each_line_is_one_feature_with_its_reason() {
        let output = "VERSION kafkajs 2.2.4\nPASS a\nwarning: b\nFAIL b it broke\nSKIP c not had\n";
        let said = read(output, &["a", "b", "c"], "exit status 0");
        assert_eq!(said.versions, [("kafkajs".to_owned(), "2.2.4".to_owned())]);
        assert_eq!(said.outcomes["a"], Outcome::Passed);
        assert_eq!(said.outcomes["b"], failed("it broke"));
        assert_eq!(said.outcomes["c"], Outcome::Skipped("not had".to_owned()));
    }

    #[test]
    fn a_feature_that_nothing_was_said_of_has_failed() {
        let said = read("PASS a\n", &["a", "b"], "killed by signal 9");
        assert_eq!(said.outcomes["b"], failed("nothing was said of it: killed by signal 9"));
    }

    #[test]
    fn a_feature_that_nobody_asked_for_has_failed() {
        let said = read("PASS a\nPASS misspelt\n", &["a"], "exit status 0");
        assert_eq!(said.outcomes["misspelt"], failed("nobody asked for it"));
    }

    #[test]
    fn a_feature_spoken_of_twice_has_failed() {
        let said = read("FAIL a once\nPASS a\n", &["a"], "exit status 0");
        assert_eq!(said.outcomes["a"], failed("spoken of twice"));
    }
}
