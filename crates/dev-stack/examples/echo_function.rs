//! A Lambda function for the tests of the Lambda service: it does what the payload asks for.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (payload, context) = event.into_parts();
    if let Some(records) = payload["Records"].as_array() {
        return Ok(refuse_bad(records));
    }
    if let Some(message) = payload["fail"].as_str() {
        return Err(message.to_owned().into());
    }
    if payload["hang"] == true {
        std::future::pending::<()>().await;
    }
    if payload["exit"].is_number() {
        std::process::abort();
    }
    if let (Some(mine), Some(theirs)) = (payload["meet"].as_str(), payload["with"].as_str()) {
        meet(mine.into(), theirs.into()).await?;
    }
    Ok(json!({
        "echo": payload["echo"],
        "process": std::process::id(),
        "function_name": context.env_config.function_name,
        "deadline_in_ms": i64::try_from(context.deadline)? - now_ms()?,
    }))
}

/// Ends only when another invocation is under way.
async fn meet(mine: PathBuf, theirs: PathBuf) -> Result<(), Error> {
    std::fs::write(mine, "here")?;
    while !theirs.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn refuse_bad(records: &[Value]) -> Value {
    let bad = records.iter().filter(|record| record["body"] == "bad");
    let failures: Vec<Value> = bad
        .map(|record| json!({"itemIdentifier": record["messageId"]}))
        .collect();
    json!({"batchItemFailures": failures})
}

#[expect(clippy::disallowed_methods, reason = "the deadline is a time of the machine's clock")]
fn now_ms() -> Result<i64, Error> {
    Ok(i64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
    )?)
}
