//! Standard output.

use std::io::Write as _;

/// A closed pipe is no reason to stop.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
