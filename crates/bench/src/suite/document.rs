//! The part of `docs/PERFORMANCE.md` that a run writes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";

/// Puts `measured` between the markers.
pub(super) fn write(document: &Path, measured: &str) -> Result<()> {
    let text = fs::read_to_string(document).with_context(|| format!("cannot read {}", document.display()))?;
    let placed = placed(&text, measured);
    let placed = placed.with_context(|| format!("{} has no markers bench:begin and bench:end", document.display()))?;
    fs::write(document, placed).with_context(|| format!("cannot write {}", document.display()))
}

fn placed(text: &str, measured: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{measured}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_markers_changes() {
        let before = format!("# Performance\n{BEGIN}old\n{END}\nlast\n");
        let after = placed(&before, "new\n").unwrap();
        assert_eq!(after, format!("# Performance\n{BEGIN}new\n{END}\nlast\n"));
        assert_eq!(placed(&after, "new\n").unwrap(), after, "a second run changes nothing");
        assert_eq!(placed("# Performance\n", "new\n"), None);
    }
}
