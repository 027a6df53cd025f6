//! What was built, for `--version` and the metric `yaks_build_info`.

use std::sync::LazyLock;

/// The version, as in the manifest.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built. `make dist` and the images say which, in `YAKS_COMMIT`; a build that asked git itself would compile
/// everything anew after every commit.
pub const COMMIT: &str = match option_env!("YAKS_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Both, as `--version` shows them.
pub fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{VERSION} (commit {COMMIT})"));
    &TEXT
}
