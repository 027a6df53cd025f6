//! One process of the function, started as Lambda starts it.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metastore::PostgresConfig;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use types::ObjectKey;

use super::runtime_api::RuntimeApi;
use crate::probe::process::Process;

/// What it is started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) program: &'a Path,
    pub(super) s3_endpoint: &'a str,
    pub(super) postgres: &'a PostgresConfig,
    pub(super) log_file: &'a Path,
}

/// A running one. Dropping it kills it.
pub(super) struct Instance {
    child: Child,
    api: RuntimeApi,
    started_in: Duration,
}

impl Instance {
    /// Starts it and waits until it asks for work.
    pub(super) async fn start(plan: Plan<'_>) -> Result<Self> {
        let mut api = RuntimeApi::start().await?;
        let mut command = command(plan, &api)?;
        let began = Instant::now();
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", plan.program.display()))?;
        let polled = api.first_poll().await;
        let polled = polled.with_context(|| format!("its log is {}", plan.log_file.display()))?;
        Ok(Self {
            child,
            api,
            started_in: polled.duration_since(began),
        })
    }

    /// From before it was started until it asked for work.
    pub(super) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The process.
    pub(super) fn process(&self) -> Result<Process> {
        Ok(Process {
            name: "function".to_owned(),
            pid: self.child.id().context("the function has ended")?,
        })
    }

    /// Tells it of an object, as S3 does through a queue; an error unless it took it.
    pub(super) async fn tell(&mut self, key: &ObjectKey, object_bytes: u64) -> Result<()> {
        let answer = self.api.invoke(&queued(key, object_bytes)).await?;
        let refused = answer["batchItemFailures"].as_array();
        anyhow::ensure!(refused.is_none_or(Vec::is_empty), "{key} was refused: {answer}");
        Ok(())
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

fn command(plan: Plan<'_>, api: &RuntimeApi) -> Result<Command> {
    let log = File::options().create(true).append(true).open(plan.log_file);
    let log = log.with_context(|| format!("cannot write {}", plan.log_file.display()))?;
    let postgres = plan.postgres;
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", api.address().to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("YAKS_S3_ENDPOINT", plan.s3_endpoint.to_owned()),
        ("YAKS_DB_HOST", postgres.host.clone()),
        ("YAKS_DB_PORT", postgres.port.to_string()),
        ("YAKS_DB_USER", postgres.user.clone()),
        ("YAKS_DB_PASSWORD", postgres.password.reveal().to_owned()),
        ("YAKS_DB_NAME", postgres.name.clone()),
    ];
    let mut command = Command::new(plan.program);
    command.env_clear().envs(variables).kill_on_drop(true);
    command.stderr(log.try_clone()?).stdout(log);
    Ok(command)
}

/// A batch of one message, which carries the notification of one object.
fn queued(key: &ObjectKey, object_bytes: u64) -> Value {
    let notification = json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDACKCEVSQ6C2EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "bench", "x-amz-id-2": "bench"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "bench",
            "bucket": {
                "name": "test-bucket",
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": "arn:aws:s3:::test-bucket",
            },
            "object": {"key": key.to_string(), "size": object_bytes, "eTag": "bench", "sequencer": "0"},
        },
    }]});
    json!({"Records": [{
        "messageId": "1",
        "receiptHandle": "1",
        "body": notification.to_string(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1767225600000",
            "SenderId": "AIDAJXNJGGKNS7OSV23OI",
            "ApproximateFirstReceiveTimestamp": "1767225600000",
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bench",
        "awsRegion": "us-east-1",
    }]})
}
