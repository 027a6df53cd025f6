//! The tables in the documents are what the code says.

use cache_sidecar::{CacheConfig, METRICS};
use clap::CommandFactory;
use generated_docs::{check, metrics_table, settings_table};

#[test]
fn the_readme_lists_every_setting_of_the_sidecar() {
    check("README.md", "settings:cache", &settings_table(&CacheConfig::command()));
}

#[test]
fn the_metrics_page_lists_every_metric_of_the_sidecar() {
    check("docs/metrics.md", "metrics:cache", &metrics_table(METRICS));
}
