//! What all Kafka clients of a run have in common.

use rdkafka::ClientConfig;

use crate::config::OracleConfig;

/// The settings of client number `index`, called `name` in the broker's logs.
pub(crate) fn settings(config: &OracleConfig, index: usize, name: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", config.bootstrap(index))
        .set("client.id", name)
        // A broker that was killed and started again is found within a second, not within librdkafka's ten.
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "10000");
    client
}
