//! The part of `docs/protocol.md` that a run writes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- clients:begin -->\n";
const END: &str = "<!-- clients:end -->";
const HEADING: &str = "# Protocol\n";
const SECTION: &str = "## Clients\n\nWhat each client was seen to do, by `make conformance`.\n";

/// Puts the tables between the markers; makes the document, or its section, where it is not there.
pub(crate) fn write(document: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(document).unwrap_or_else(|_| HEADING.to_owned());
    fs::write(document, placed(&text, tables)).with_context(|| format!("cannot write {}", document.display()))
}

fn placed(text: &str, tables: &str) -> String {
    let begin = text.find(BEGIN).map(|at| at + BEGIN.len());
    let end = begin.and_then(|begin| Some(begin + text[begin..].find(END)?));
    match (begin, end) {
        (Some(begin), Some(end)) => format!("{}\n{tables}\n{}", &text[..begin], &text[end..]),
        _ => format!("{text}\n{SECTION}\n{BEGIN}\n{tables}\n{END}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_markers_changes() {
        let before = format!("# Protocol\n\nfirst\n{BEGIN}old{END}\nlast\n");
        let after = placed(&before, "new");
        assert_eq!(after, format!("# Protocol\n\nfirst\n{BEGIN}\nnew\n{END}\nlast\n"));
        assert_eq!(placed(&after, "new"), after, "a second run changes nothing");
    }

    #[test]
    fn a_document_without_the_section_gets_it() {
        let after = placed("# Protocol\n", "new");
        assert!(after.contains("## Clients") && after.contains("\nnew\n"), "{after}");
        assert_eq!(placed(&after, "new"), after, "a second run changes nothing");
    }
}
