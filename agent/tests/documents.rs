//! The tables in the documents are what the code says.

mod api_notes;

use std::fmt::Write as _;

use agent::config::Config;
use agent::configs::topic::TOPIC_CONFIGS;
use agent::dispatch::APIS;
use clap::CommandFactory;
use generated_docs::{check, metrics_table, settings_table};

#[test]
fn the_readme_lists_every_setting_of_the_agent() {
    check("README.md", "settings:agent", &settings_table(&Config::command()));
}

#[test]
fn the_readme_lists_every_setting_of_the_migrations() {
    let command = Config::command();
    let migrate = command.find_subcommand("migrate").expect("the agent migrates");
    check("README.md", "settings:migrate", &settings_table(migrate));
}

#[test]
fn the_metrics_page_lists_every_metric_of_the_agent_and_of_what_it_stands_on() {
    let agents = [agent::metrics::METRICS, agent::metrics::TOPIC_METRICS].concat();
    for (section, metrics) in [
        ("metrics:agent", agents.as_slice()),
        ("metrics:metastore", metastore::METRICS),
        ("metrics:storage", storage::METRICS),
        ("metrics:process", telemetry::METRICS),
    ] {
        check("docs/metrics.md", section, &metrics_table(metrics));
    }
}

#[test]
fn the_readme_lists_every_api_that_is_served() {
    let mut table = String::from("| API | versions |\n| --- | --- |\n");
    for api in APIS {
        write!(table, "| {} | {} to {}", api.name, api.served_min, api.advertised.max).unwrap();
        if api.served_min > api.advertised.min {
            write!(
                table,
                " ({} to {} are advertised and refused)",
                api.advertised.min,
                api.served_min - 1
            )
            .unwrap();
        }
        table.push_str(" |\n");
    }
    check("README.md", "apis", &table);
}

#[test]
fn the_protocol_page_says_of_every_api_what_covers_it() {
    check("docs/protocol.md", "apis", &api_notes::served());
    check("docs/protocol.md", "apis-not-served", &api_notes::not_served());
}

#[test]
fn the_readme_says_what_every_topic_setting_does() {
    let mut table = String::from("| setting | default | what it does |\n| --- | --- | --- |\n");
    for config in TOPIC_CONFIGS {
        let default = if config.default.is_empty() {
            "empty".to_owned()
        } else {
            format!("`{}`", config.default)
        };
        writeln!(table, "| `{}` | {default} | {} |", config.name, config.documentation).unwrap();
    }
    check("README.md", "topic-settings", &table);
}
