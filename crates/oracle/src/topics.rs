//! Creates the topics of a run.

use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::client;
use crate::config::OracleConfig;

/// How long the brokers may take to create the topics, or to be reached at all.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates `topics` through the admin API; a topic that exists already is an error, for its content would not be ours.
pub(crate) fn create(config: &OracleConfig, topics: &[String]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client::settings(config, 0, "oracle-admin")
        .create()
        .context("could not set up the admin client")?;
    let new_topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| NewTopic::new(topic, config.partitions, TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(CREATE_TIMEOUT))
        .operation_timeout(Some(CREATE_TIMEOUT));
    let outcomes = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(admin.create_topics(&new_topics, &options))
        .with_context(|| format!("could not create topics through {}", config.bootstrap(0)))?;
    for outcome in outcomes {
        if let Err((topic, code)) = outcome {
            bail!("could not create topic {topic}: {code}");
        }
    }
    Ok(())
}
