//! Spans to a collector, over OTLP (HTTP, protobuf). What OpenTelemetry has variables of its own for is set by those: endpoint,
//! headers, sampler, queue, resource. Trace ids begin with the time, as X-Ray wants them.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_aws::trace::XrayIdGenerator;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::ResourceDetector;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::{Level, Metadata, debug, warn};

use crate::otlp_http::OtlpHttp;
use crate::{TelemetryError, sampler};

/// Whose spans are exported: ours. Libraries have theirs, many of them per record or per read.
const EXPORTED: [&str; 6] = [
    "agent",
    "cache_api",
    "cache_sidecar",
    "materializer_fn",
    "metastore",
    "storage",
];

/// A span that lasts as long as its client does not hold a trace together: each of its requests has its own.
const CONNECTION: &str = "connection";

/// The spans of this process on their way out; the default exports none.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what has been recorded, for `limit` at most: before a process ends, or is frozen.
    pub async fn flush(&self, limit: Duration) {
        let Some(provider) = self.0.clone() else { return };
        // It waits for the exporter's thread, which needs the runtime.
        let flushing = tokio::task::spawn_blocking(move || provider.force_flush());
        match timeout(limit, flushing).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => warn!(%error, "spans were not exported"),
            Ok(Err(error)) => warn!(%error, "spans were not exported"),
            Err(_) => debug!("spans are still being exported"),
        }
    }
}

/// A tracer for `service`, whose spans `Traces` sends. Needs a runtime around it.
pub(crate) fn start(
    service: &'static str,
    platform: Box<dyn ResourceDetector>,
) -> Result<(Traces, SdkTracer), TelemetryError> {
    let sampler = sampler::of_environment().map_err(TelemetryError::Sampler)?;
    let runtime = Handle::try_current().map_err(|error| TelemetryError::Otlp(error.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OtlpHttp::new(runtime, is_endpoint_https())?)
        .build()
        .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_id_generator(XrayIdGenerator::default())
        .with_resource(resource(service, platform))
        .build();
    let tracer = provider.tracer("yaks");
    Ok((Traces(Some(provider)), tracer))
}

/// Whether a span is exported, or a warning shown in one.
pub(crate) fn is_exported(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    let least = if metadata.is_span() { Level::DEBUG } else { Level::WARN };
    EXPORTED.contains(&krate) && *metadata.level() <= least && metadata.name() != CONNECTION
}

/// What is known of this process: the variables have the last word.
fn resource(service: &'static str, platform: Box<dyn ResourceDetector>) -> Resource {
    let told = Resource::builder().with_detector(platform).build();
    let is_named = std::env::var("OTEL_SERVICE_NAME").is_ok()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    if is_named {
        return told;
    }
    let attributes = told
        .iter()
        .map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes(attributes)
        .with_service_name(service)
        .build()
}

fn is_endpoint_https() -> bool {
    let of_traces = std::env::var(opentelemetry_otlp::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
    let endpoint = of_traces.or_else(|_| std::env::var(opentelemetry_otlp::OTEL_EXPORTER_OTLP_ENDPOINT));
    endpoint.is_ok_and(|endpoint| endpoint.starts_with("https:"))
}
