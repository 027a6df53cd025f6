//! Commits through the function, invoked with the footers; the offsets come back in its answer.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig};
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use commit::SlotFooter;
use commit::invoke::{COMMIT_REQUEST_V1, CommitRequest, CommitRequestSlot, CommitResponse};
use object_format::slot_key;
use storage::S3Config;

use crate::config::CommitConfig;

/// Longer than the function's own timeout of 10 s: a late answer is still an answer.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(12);

/// The function, as the agent calls it.
#[async_trait]
pub trait CommitFunction: Send + Sync + std::fmt::Debug + 'static {
    /// One synchronous invocation, bounded in time. An error says nothing about whether it happened.
    async fn invoke(&self, request: &CommitRequest) -> anyhow::Result<CommitResponse>;
}

/// Asks for the commit of `slots`; the answer has one result per slot, in order.
pub async fn commit(function: &dyn CommitFunction, slots: &[SlotFooter]) -> anyhow::Result<CommitResponse> {
    let request = CommitRequest {
        yaks: COMMIT_REQUEST_V1.to_owned(),
        slots: slots.iter().map(request_slot).collect(),
    };
    let response = function.invoke(&request).await?;
    let (asked, answered) = (slots.len(), response.slots.len());
    ensure!(answered == asked, "the function answered {answered} of {asked} slots");
    Ok(response)
}

fn request_slot(slot: &SlotFooter) -> CommitRequestSlot {
    CommitRequestSlot {
        key: slot_key(slot.slot()),
        object_bytes: slot.object_bytes,
        footer: slot.tail.clone(),
    }
}

/// The function in AWS Lambda, or in what plays it.
#[derive(Clone, Debug)]
pub struct LambdaFunction {
    client: Client,
    function: String,
}

impl LambdaFunction {
    /// A client with the credentials and region that S3 uses.
    pub async fn new(config: &CommitConfig, s3: &S3Config) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(storage::aws_http_client())
            .region(Region::new(s3.region.clone()))
            .timeout_config(TimeoutConfig::builder().operation_timeout(INVOCATION_TIMEOUT).build());
        if !s3.access_key.is_empty() {
            let secret = s3.secret_key.reveal();
            loader = loader.credentials_provider(Credentials::new(s3.access_key.clone(), secret, None, None, "yaks"));
        }
        if !config.lambda_endpoint.is_empty() {
            loader = loader.endpoint_url(&config.lambda_endpoint);
        }
        Self {
            client: Client::new(&loader.load().await),
            function: config.lambda_function.clone(),
        }
    }
}

#[async_trait]
impl CommitFunction for LambdaFunction {
    async fn invoke(&self, request: &CommitRequest) -> anyhow::Result<CommitResponse> {
        let payload = Blob::new(serde_json::to_vec(request).context("commit request")?);
        let answer = self
            .client
            .invoke()
            .function_name(&self.function)
            .payload(payload)
            .send()
            .await;
        let answer = answer.map_err(|error| anyhow!("invoke the function: {}", DisplayErrorContext(error)))?;
        let body = answer.payload.unwrap_or_else(|| Blob::new(Vec::new())).into_inner();
        if let Some(error) = answer.function_error {
            bail!("the function failed ({error}): {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).context("answer of the function")
    }
}
