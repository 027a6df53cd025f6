//! The tables in the documents are what the code says.

use cache_sidecar::CacheConfig;
use clap::CommandFactory;
use generated_docs::{check, settings_table};

#[test]
fn the_readme_lists_every_setting_of_the_sidecar() {
    check("README.md", "settings:cache", &settings_table(&CacheConfig::command()));
}
