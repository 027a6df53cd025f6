//! SQS, as much of it as is needed here.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>

use std::collections::HashMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use storage::S3Config;

use super::error::{QueueError, sdk_error};
use super::url::QueueUrl;
use crate::limits::{BATCH_MESSAGES_MAX, LETTER_TIMEOUT, LETTER_TRIES, LONG_POLL, SQS_TIMEOUT};

/// A queue, and who we are to it.
#[derive(Debug)]
pub(crate) struct Sqs {
    client: Client,
    url: QueueUrl,
    region: String,
}

/// What a queue says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueFacts {
    /// Its name in events.
    pub(crate) arn: String,
    /// After how long a message that was not deleted comes back.
    pub(crate) visibility_timeout: Duration,
}

impl Sqs {
    /// A client with the credentials of S3; nothing is asked yet.
    pub(crate) async fn new(url: &QueueUrl, s3: &S3Config) -> Self {
        let region = url.region().unwrap_or(&s3.region).to_owned();
        let config = sdk_config(s3, &region).await;
        let config = aws_sdk_sqs::config::Builder::from(&config)
            .endpoint_url(url.endpoint())
            // Whoever calls has its own way of trying again, which heeds the order to stop.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(SQS_TIMEOUT))
            .build();
        Self {
            client: Client::from_conf(config),
            url: url.clone(),
            region,
        }
    }

    /// What the queue says about itself; also the proof that it exists and is ours to use.
    pub(crate) async fn facts(&self) -> Result<QueueFacts, QueueError> {
        let asked = self
            .client
            .get_queue_attributes()
            .queue_url(self.url.as_str())
            .attribute_names(QueueAttributeName::QueueArn)
            .attribute_names(QueueAttributeName::VisibilityTimeout)
            .send()
            .await;
        let answer = asked.map_err(|error| self.error("GetQueueAttributes", &error))?;
        let attribute = |name| answer.attributes.as_ref().and_then(|all| all.get(&name)).cloned();
        let visibility_s = attribute(QueueAttributeName::VisibilityTimeout).and_then(|text| text.parse().ok());
        Ok(QueueFacts {
            arn: attribute(QueueAttributeName::QueueArn).unwrap_or_default(),
            visibility_timeout: Duration::from_secs(visibility_s.unwrap_or_default()),
        })
    }

    /// Up to ten messages, waited for up to 20 s. Dropping the call loses none: what SQS hands out to nobody comes back
    /// after the visibility timeout.
    pub(crate) async fn receive(&self) -> Result<Vec<Message>, QueueError> {
        let asked = self
            .client
            .receive_message()
            .queue_url(self.url.as_str())
            .max_number_of_messages(BATCH_MESSAGES_MAX)
            .wait_time_seconds(LONG_POLL.as_secs() as i32)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .customize()
            .config_override(aws_sdk_sqs::config::Builder::new().timeout_config(timeouts(LONG_POLL + SQS_TIMEOUT)))
            .send()
            .await;
        let answer = asked.map_err(|error| self.error("ReceiveMessage", &error))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Deletes messages; how many SQS did not delete, though it took the request.
    pub(crate) async fn delete(&self, messages: &[&Message]) -> Result<usize, QueueError> {
        let entries: Result<Vec<_>, BuildError> = messages.iter().enumerate().map(deletion).collect();
        let entries = entries.map_err(|error| QueueError::local("DeleteMessageBatch", &self.url, &error))?;
        let asked = self
            .client
            .delete_message_batch()
            .queue_url(self.url.as_str())
            .set_entries(Some(entries))
            .send()
            .await;
        let answer = asked.map_err(|error| self.error("DeleteMessageBatch", &error))?;
        Ok(answer.failed.len())
    }

    /// Sends a message with attributes. Tried again within a few seconds: the connection may be one that slept with its sandbox.
    pub(crate) async fn send(
        &self,
        body: &str,
        attributes: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), QueueError> {
        let attributes: Result<HashMap<_, _>, BuildError> = attributes.into_iter().map(attribute).collect();
        let attributes = attributes.map_err(|error| QueueError::local("SendMessage", &self.url, &error))?;
        let tries = aws_sdk_sqs::config::Builder::new()
            .retry_config(RetryConfig::standard().with_max_attempts(LETTER_TRIES))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(LETTER_TIMEOUT / LETTER_TRIES)
                    .operation_timeout(LETTER_TIMEOUT)
                    .build(),
            );
        let asked = self
            .client
            .send_message()
            .queue_url(self.url.as_str())
            .message_body(body)
            .set_message_attributes(Some(attributes))
            .customize()
            .config_override(tries)
            .send()
            .await;
        asked.map_err(|error| self.error("SendMessage", &error))?;
        Ok(())
    }

    /// The messages as Lambda gives them to a function.
    pub(crate) fn event(&self, facts: &QueueFacts, messages: &[Message]) -> SqsEvent {
        let mut event = SqsEvent::default();
        event.records = messages
            .iter()
            .map(|message| {
                let mut record = SqsMessage::default();
                record.message_id = message.message_id.clone();
                record.receipt_handle = message.receipt_handle.clone();
                record.body = message.body.clone();
                record.md5_of_body = message.md5_of_body.clone();
                let attributes = message.attributes.iter().flatten();
                record.attributes = attributes
                    .map(|(name, value)| (name.to_string(), value.clone()))
                    .collect();
                record.event_source = Some("aws:sqs".to_owned());
                record.event_source_arn = Some(facts.arn.clone());
                record.aws_region = Some(self.region.clone());
                record
            })
            .collect();
        event
    }

    fn error<E>(&self, operation: &'static str, error: &aws_sdk_sqs::error::SdkError<E>) -> QueueError
    where
        E: std::error::Error + aws_sdk_sqs::error::ProvideErrorMetadata + 'static,
    {
        sdk_error(operation, &self.url, &self.region, error)
    }
}

/// Ids of entries count for one request only.
fn deletion((n, message): (usize, &&Message)) -> Result<DeleteMessageBatchRequestEntry, BuildError> {
    DeleteMessageBatchRequestEntry::builder()
        .id(n.to_string())
        .set_receipt_handle(message.receipt_handle.clone())
        .build()
}

fn attribute((name, value): (&'static str, String)) -> Result<(String, MessageAttributeValue), BuildError> {
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()?;
    Ok((name.to_owned(), value))
}

async fn sdk_config(s3: &S3Config, region: &str) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(region.to_owned()));
    if !s3.access_key.is_empty() {
        let secret = s3.secret_key.reveal();
        loader = loader.credentials_provider(Credentials::new(s3.access_key.clone(), secret, None, None, "yaks"));
    }
    loader.load().await
}

fn timeouts(total: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(SQS_TIMEOUT)
        .operation_timeout(total)
        .build()
}
