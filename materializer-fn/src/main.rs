//! `yaks-materializer`: gives every uploaded batch its offset, as a Lambda function, or as a worker that reads the event queue itself.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use lambda_runtime::{LambdaEvent, service_fn};
use materializer_fn::limits::TRACES_FLUSH_MAX;
use materializer_fn::{Config, Context, handler, worker};
use telemetry::{EmbeddedMetrics, Traces};
use tracing::{info, warn};
use types::TimestampMs;

// One thread: below 1,769 MB of memory a function has no more than one vCPU, and all it does is wait for others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    let traces = telemetry::init_function(&config.telemetry, "yaks-materializer").context("telemetry")?;
    // lambda_runtime panics without it.
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        info!(?config, "starting");
        return function(&config, traces).await;
    }
    let Some(queue) = &config.event_queue.0 else {
        bail!(
            "AWS_LAMBDA_RUNTIME_API is not set: AWS Lambda or `make up` starts this program. To run it without Lambda, set \
             YAKS_EVENT_QUEUE_URL to the SQS queue that S3 sends its events to"
        );
    };
    info!(?config, "starting without Lambda");
    let stop = shutdown::token_on_signal().context("cannot listen for signals")?;
    let context = Arc::new(Context::start(&config).await?);
    worker::run(queue, &config.s3, config.sweep_interval(), context, stop).await?;
    traces.flush(TRACES_FLUSH_MAX).await;
    Ok(())
}

/// Takes invocations from Lambda, for ever.
async fn function(config: &Config, traces: Traces) -> anyhow::Result<()> {
    let metrics = embedded_metrics(&config.emf_namespace)?;
    let context = Arc::new(Context::start(config).await?);
    let run = lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| {
        let (context, traces, metrics) = (Arc::clone(&context), traces.clone(), metrics.clone());
        async move {
            let answer = handler::invoked(&context, event).await;
            // Once it is answered, Lambda may freeze this process at any moment.
            if let Some(metrics) = &metrics {
                write(metrics, context.clock.now());
            }
            traces.flush(TRACES_FLUSH_MAX).await;
            answer
        }
    }));
    run.await.map_err(anyhow::Error::from_boxed)
}

/// What is counted for CloudWatch, if anything is.
fn embedded_metrics(namespace: &str) -> anyhow::Result<Option<EmbeddedMetrics>> {
    if namespace.is_empty() {
        return Ok(None);
    }
    let lists = [materializer_fn::METRICS, metastore::METRICS];
    Ok(Some(EmbeddedMetrics::install(namespace, &lists).context("metrics")?))
}

fn write(metrics: &EmbeddedMetrics, now: TimestampMs) {
    if let Err(error) = metrics.write(now, &mut std::io::stdout().lock()) {
        warn!(%error, "metrics cannot be written to stdout");
    }
}
