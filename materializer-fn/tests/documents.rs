//! The tables in the documents are what the code says.

use generated_docs::{check, settings_table};
use materializer_fn::config::command;

#[test]
fn the_readme_lists_every_setting_of_the_function() {
    check("README.md", "settings:materializer", &settings_table(&command()));
}
