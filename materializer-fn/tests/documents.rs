//! The tables in the documents are what the code says.

use generated_docs::{check, metrics_table, settings_table};
use materializer_fn::METRICS;
use materializer_fn::config::command;

#[test]
fn the_readme_lists_every_setting_of_the_function() {
    check("README.md", "settings:materializer", &settings_table(&command()));
}

#[test]
fn the_metrics_page_lists_every_metric_of_the_function() {
    check("docs/metrics.md", "metrics:function", &metrics_table(METRICS));
}
