//! How spans get to their collector: over hyper and rustls, which the S3 client has brought along, on the process's own runtime.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::TelemetryError;

/// A collector stands nearby; what it does not take in this time is dropped, and said so.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Of an answer only errors are looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The exporter calls it from a thread of its own, and hyper needs a runtime.
#[derive(Debug)]
pub(crate) struct OtlpHttp {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

impl OtlpHttp {
    /// A client whose connections live on `runtime`. Certificates are looked for only where they are needed.
    pub(crate) fn new(runtime: Handle, with_tls: bool) -> Result<Self, TelemetryError> {
        let provider = ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = if with_tls {
            let with_roots = builder.with_provider_and_native_roots(provider);
            with_roots.map_err(|error| TelemetryError::Otlp(format!("no certificates to trust: {error}")))?
        } else {
            let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
            let config = config.map_err(|error| TelemetryError::Otlp(error.to_string()))?;
            let trusting_nobody = config.with_root_certificates(RootCertStore::empty());
            builder.with_tls_config(trusting_nobody.with_no_client_auth())
        };
        let connector = builder.https_or_http().enable_http1().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime,
        })
    }
}

#[async_trait]
impl HttpClient for OtlpHttp {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // Made inside, too: a timer outside a runtime is a panic.
        self.runtime.spawn(async { timeout(TIMEOUT, sending).await }).await??
    }
}
