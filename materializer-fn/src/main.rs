//! `yaks-materializer`: the Lambda function that gives every uploaded batch its offset.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use lambda_runtime::{LambdaEvent, service_fn};
use materializer_fn::limits::TRACES_FLUSH_MAX;
use materializer_fn::{Config, Context, handler};
use tracing::info;

// One thread: below 1,769 MB of memory a function has no more than one vCPU, and all it does is wait for others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    let traces = telemetry::init_function(&config.telemetry, "yaks-materializer").context("telemetry")?;
    // lambda_runtime panics without it.
    let started_by_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    ensure!(
        started_by_lambda,
        "AWS_LAMBDA_RUNTIME_API is not set: AWS Lambda or `make up` starts this program"
    );
    info!(?config, "starting");
    let context = Arc::new(Context::start(&config).await?);
    let run = lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| {
        let (context, traces) = (Arc::clone(&context), traces.clone());
        async move {
            let answer = handler::invoked(&context, event).await;
            // Once it is answered, Lambda may freeze this process at any moment.
            traces.flush(TRACES_FLUSH_MAX).await;
            answer
        }
    }));
    run.await.map_err(anyhow::Error::from_boxed)
}
