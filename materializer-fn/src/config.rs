//! The function's settings.

use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser};
use metastore::PostgresConfig;
use storage::S3Config;
use telemetry::TelemetryConfig;

use crate::Graces;
use crate::queue::QueueUrl;

const DB_POOL_SIZE_HELP: &str = "Most connections of one process, each costs Postgres some 10 MB; more than 2 count as 2: \
                                 a thousand concurrent invocations have a thousand pools";

/// Settings of the function, all of them environment variables.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "yaks-materializer",
    version = types::version(),
    about = "The Lambda function of yaks: gives every batch its offset"
)]
pub struct Config {
    /// Where the offsets are.
    #[command(flatten)]
    pub postgres: PostgresConfig,
    /// Where the objects are.
    #[command(flatten)]
    pub s3: S3Config,
    /// What is logged.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
    /// How long, in ms, a stream without a live agent must stand still before the sweep ends it. Must be longer than an
    /// agent's lease (5000); longer leaves the last records of a killed agent unread for longer, shorter ends streams of
    /// agents that only slept.
    #[arg(
        long = "sweep-grace-ms",
        env = "YAKS_SWEEP_GRACE_MS",
        value_name = "YAKS_SWEEP_GRACE_MS",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(i64).range(5_001..=86_400_000)
    )]
    pub sweep_grace_ms: i64,
    /// How long, in ms, an object that lies past its stream's end is kept before the sweep deletes it: it is nobody's and
    /// never becomes anything else, but people may want to look at it. Longer costs what S3 takes for storing it.
    #[arg(
        long = "orphan-grace-ms",
        env = "YAKS_ORPHAN_GRACE_MS",
        value_name = "YAKS_ORPHAN_GRACE_MS",
        default_value_t = 86_400_000,
        value_parser = clap::value_parser!(i64).range(1_000..=2_592_000_000)
    )]
    pub orphan_grace_ms: i64,
    /// URL of the SQS queue with S3's events, for running without Lambda (ECS, Kubernetes, LocalStack): the program reads
    /// it until SIGTERM, with the credentials of S3. Any number may read one queue. Empty: it is Lambda that starts the
    /// program; where Lambda does, this is not looked at.
    #[arg(
        long = "event-queue-url",
        env = "YAKS_EVENT_QUEUE_URL",
        value_name = "YAKS_EVENT_QUEUE_URL",
        default_value = ""
    )]
    pub event_queue: QueueSetting,
    /// URL of the SQS queue for poison: messages that make no sense, and those that tell of objects which are none of ours, as they
    /// came, with `reason`, `event_queue` and `message_id` as attributes. It is written with the credentials of S3. What cannot be sent
    /// comes again; a message may lie there twice. Empty: poison is logged, counted and dropped.
    #[arg(
        long = "dead-letter-queue-url",
        env = "YAKS_DEAD_LETTER_QUEUE_URL",
        value_name = "YAKS_DEAD_LETTER_QUEUE_URL",
        default_value = ""
    )]
    pub dead_letter_queue: QueueSetting,
    /// CloudWatch namespace of the metrics that an invocation leaves behind, as lines of the embedded metric format on stdout
    /// (docs/metrics.md). Each metric with its labels costs $0.30 for a month in which it is written all the time. Empty, and without
    /// Lambda: none are written.
    #[arg(
        long = "emf-namespace",
        env = "YAKS_EMF_NAMESPACE",
        value_name = "YAKS_EMF_NAMESPACE",
        default_value = "",
        value_parser = parse_namespace
    )]
    pub emf_namespace: String,
    /// How often, in ms, a program that reads the queue itself sweeps after agents that are gone; 0: never, something else
    /// does. Longer leaves the last records of a killed agent unread for longer, shorter asks Postgres more often.
    #[arg(
        long = "sweep-interval-ms",
        env = "YAKS_SWEEP_INTERVAL_MS",
        value_name = "YAKS_SWEEP_INTERVAL_MS",
        default_value_t = 60_000,
        value_parser = clap::value_parser!(u64).range(..=86_400_000)
    )]
    pub sweep_interval_ms: u64,
}

/// A queue, or none.
#[derive(Clone, Debug)]
pub struct QueueSetting(pub Option<QueueUrl>);

impl std::str::FromStr for QueueSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = (!text.is_empty()).then(|| text.parse()).transpose()?;
        Ok(Self(url))
    }
}

impl Config {
    /// Reads the environment; ends the process with a message that names the variable if a value is wrong.
    pub fn from_env() -> Self {
        let matches = command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// How often a worker sweeps; zero: never.
    pub fn sweep_interval(&self) -> Duration {
        Duration::from_millis(self.sweep_interval_ms)
    }

    /// What the sweep waits for.
    pub fn graces(&self) -> Graces {
        Graces {
            stream_ms: self.sweep_grace_ms,
            orphan_ms: self.orphan_grace_ms,
        }
    }
}

/// CloudWatch's rules for a namespace:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>.
fn parse_namespace(text: &str) -> Result<String, String> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "./-_#:".contains(c);
    if text.len() > 255 || !text.chars().all(usable) || text.starts_with("AWS/") || text.starts_with(':') {
        return Err("expected up to 255 letters, digits and ./-_#:, not AWS/ first".to_owned());
    }
    Ok(text.to_owned())
}

/// The command line as it is read: shared settings whose defaults suit a function differ from those of an agent.
pub fn command() -> clap::Command {
    Config::command()
        // CloudWatch reads JSON.
        .mut_arg("log_format", |arg| arg.default_value("json"))
        .mut_arg("pool_size", |arg| arg.default_value("2").help(DB_POOL_SIZE_HELP))
}

#[cfg(test)]
mod tests {
    use telemetry::LogFormat;

    use super::*;

    fn parse(args: &[&str]) -> Result<Config, clap::Error> {
        let matches = command().try_get_matches_from([&["x"], args].concat())?;
        Config::from_arg_matches(&matches)
    }

    #[test]
    fn a_function_logs_json_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().telemetry.log_format, LogFormat::Json);
        let human = parse(&["--log-format=human"]).unwrap();
        assert_eq!(human.telemetry.log_format, LogFormat::Human);
    }

    #[test]
    fn a_queue_is_a_url_or_nothing() {
        let none = parse(&[]).unwrap();
        assert!(none.event_queue.0.is_none() && none.dead_letter_queue.0.is_none());
        let queues = ["YAKS_EVENT_QUEUE_URL", "YAKS_DEAD_LETTER_QUEUE_URL"];
        for (arg, variable) in ["--event-queue-url=yaks", "--dead-letter-queue-url=yaks"]
            .iter()
            .zip(queues)
        {
            let message = parse(&[arg]).unwrap_err().to_string();
            assert!(message.contains(variable), "{message}");
        }
    }

    #[test]
    fn a_namespace_is_one_that_cloudwatch_takes() {
        for namespace in ["", "yaks", "yaks/prod-1"] {
            assert_eq!(parse(&["--emf-namespace", namespace]).unwrap().emf_namespace, namespace);
        }
        for namespace in ["AWS/yaks", "a b", "\"", ":yaks"] {
            let message = parse(&["--emf-namespace", namespace]).unwrap_err().to_string();
            assert!(message.contains("YAKS_EMF_NAMESPACE"), "{message}");
        }
    }

    #[test]
    fn a_grace_within_the_lease_is_refused_by_the_name_of_its_variable() {
        assert_eq!(parse(&[]).unwrap().sweep_grace_ms, 10_000);
        let message = parse(&["--sweep-grace-ms=5000"]).unwrap_err().to_string();
        assert!(message.contains("YAKS_SWEEP_GRACE_MS"), "{message}");
    }
}
