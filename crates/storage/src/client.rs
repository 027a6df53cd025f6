//! Builds the SDK clients: one TLS stack (rustls with ring), one connection pool, timeouts and retries set here.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::config::{S3Config, S3ConfigError, static_credentials};

/// How long S3 may take.
#[derive(Clone, Copy, Debug)]
pub struct S3Timeouts {
    /// TCP and TLS handshake.
    pub connect: Duration,
    /// One try, up to the answer's headers; for a PUT that includes sending the body.
    pub attempt: Duration,
    /// A call as a whole: tries, waits between them, and the answer's body.
    pub total: Duration,
}

impl Default for S3Timeouts {
    fn default() -> Self {
        Self {
            // A lost SYN is sent again after 1 s and 3 s; two tries fit.
            connect: Duration::from_secs(3),
            // 5 MiB (the default object) at 1 MB/s, twice over: slower than that is not a path to S3 but an outage.
            attempt: Duration::from_secs(10),
            // Two full attempts and a body: below the 30 s after which Kafka clients give a request up.
            total: Duration::from_secs(25),
        }
    }
}

/// Tries of a GET, LIST or DELETE, all of which may safely be repeated.
const READ_ATTEMPTS_MAX: u32 = 3;

/// Waits between tries. S3 answers most 500s and 503s well when asked again at once; the SDK's default of a second
/// would be felt by every consumer.
const BACKOFF_INITIAL: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// An idle connection costs nothing; S3 itself closes it after some 20 s, and a request sent into a closing
/// connection is an error the caller has to handle. So we close first.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// The clients of one bucket, over one connection pool.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// For requests that may be repeated.
    pub(crate) repeating: Client,
    /// For conditional PUTs: one try. A lost answer followed by the SDK's own second try would come back as 412,
    /// and the caller has to know that it may be looking at its own first try.
    pub(crate) single: Client,
}

pub(crate) async fn build(config: &S3Config, timeouts: S3Timeouts) -> Result<Clients, S3ConfigError> {
    let base = with_endpoint_and_identity(config).await?;
    let common = base
        .force_path_style(config.path_style)
        // The body's CRC-32C is computed once by us and sent as a header (s3.rs): the SDK must add neither a second
        // pass over the body nor the aws-chunked encoding with its trailer.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // It times every frame of every body; the bounds above do the same job for a whole call.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeout_config(timeouts))
        .build();
    let single = common.to_builder().retry_config(RetryConfig::disabled()).build();
    let repeating = common.to_builder().retry_config(read_retries()).build();
    Ok(Clients {
        repeating: Client::from_conf(repeating),
        single: Client::from_conf(single),
    })
}

async fn with_endpoint_and_identity(config: &S3Config) -> Result<Builder, S3ConfigError> {
    let region = Region::new(config.region.clone());
    let builder = if let Some((access, secret)) = static_credentials(config)? {
        // No look at profiles or the instance's metadata: nothing there may change what the settings say.
        Builder::new()
            .behavior_version_latest()
            .http_client(http_client())
            .region(region)
            .credentials_provider(Credentials::new(access, secret, None, None, "yaks-settings"))
    } else {
        let chain = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .region(region);
        Builder::from(&chain.load().await)
    };
    Ok(if config.endpoint.is_empty() {
        builder
    } else {
        builder.endpoint_url(&config.endpoint)
    })
}

/// The HTTP client of every AWS client here: one TLS stack.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

fn timeout_config(timeouts: S3Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.total)
        .build()
}

fn read_retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(READ_ATTEMPTS_MAX)
        .with_initial_backoff(BACKOFF_INITIAL)
        .with_max_backoff(BACKOFF_MAX)
}
