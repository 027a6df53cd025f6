//! Subscriptions by regular expression: RE2's syntax, and a topic has to match from its first to its last character.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::topics::Topics;

/// Most memory one compiled expression may take. Ours: far above what names of 249 characters need.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Longest expression. Ours: it is stored with the group.
const PATTERN_BYTES_MAX: usize = 8 * 1024;

/// The expressions of a group with the topics that they match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Patterns(BTreeMap<String, BTreeSet<String>>);

impl Patterns {
    /// The topics that `regex` matched when it was last looked at; `None`: it is not known yet.
    pub(super) fn matched(&self, regex: &str) -> Option<&BTreeSet<String>> {
        self.0.get(regex)
    }

    /// The expressions `wanted` with the topics there are.
    pub(super) fn resolve(wanted: &BTreeSet<&str>, topics: &dyn Topics) -> Self {
        let names = if wanted.is_empty() { vec![] } else { topics.names() };
        let resolve = |regex: &&str| (String::from(*regex), matching(regex, &names));
        Self(wanted.iter().map(resolve).collect())
    }
}

/// Whether an expression can be used.
pub(super) fn check(regex: &str) -> Result<(), Refusal> {
    compile(regex).map(|_| ())
}

fn matching(regex: &str, names: &[&str]) -> BTreeSet<String> {
    // Checked when a member brought it. Should an older agent have taken what this one does not, it matches nothing.
    let Ok(compiled) = compile(regex) else {
        return BTreeSet::new();
    };
    let matching = names.iter().filter(|name| compiled.is_match(name));
    matching.map(|name| String::from(*name)).collect()
}

fn compile(regex: &str) -> Result<Regex, Refusal> {
    let invalid = |reason: String| Refusal::InvalidRegularExpression {
        regex: regex.to_owned(),
        reason,
    };
    if regex.len() > PATTERN_BYTES_MAX {
        return Err(invalid(format!("it is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    let unquoted = without_quotes(regex);
    // On its own first: an expression such as `a)(b` would be complete only within our brackets.
    let build = |text: &str| RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
    let whole = build(&unquoted).and_then(|_| build(&format!("^(?:{unquoted})$")));
    whole.map_err(|error| invalid(error.to_string()))
}

/// RE2's `\Q...\E`, which the `regex` crate does not know, spelled out.
fn without_quotes(regex: &str) -> String {
    let mut rest = regex;
    let mut unquoted = String::with_capacity(regex.len());
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        unquoted.push_str(before);
        if let Some(quoted) = escape.strip_prefix("\\Q") {
            let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            unquoted.push_str(&regex::escape(literal));
            rest = after;
        } else {
            // A backslash and what it escapes, which may be a backslash.
            let end = escape.chars().take(2).map(char::len_utf8).sum();
            unquoted.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    unquoted.push_str(rest);
    unquoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(regex: &str, name: &str) -> bool {
        matching(regex, &[name]).contains(name)
    }

    #[test]
    fn a_topic_has_to_match_as_a_whole() {
        assert!(matches("orders-.*", "orders-eu"));
        assert!(!matches("orders", "orders-eu"));
        assert!(matches("a|ab", "ab"));
        assert!(!matches("a|b", "ab"));
        assert!(matches("^foo.*", "foobar"));
        assert!(matches("^foo$", "foo"));
        assert!(!matches("(?i)FOO", "fooo") && matches("(?i)FOO", "foo"));
    }

    #[test]
    fn quoted_parts_are_taken_literally() {
        assert!(matches(r"\Qa.b\E.*", "a.bc"));
        assert!(!matches(r"\Qa.b\E.*", "axbc"));
        assert!(matches(r"x\Q.y", "x.y"));
        assert!(!matches(r"\\Qa", "Qa"));
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for bad in ["(", "a)(b", "[z-a]", r"(?=a)", r"(a)\1", r"\"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
        assert!(check("(a{1000}){1000}").is_err());
    }
}
