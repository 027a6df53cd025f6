//! Waiting for a part to say that it is ready.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::part::{Part, tail};

/// A first start on a slow disk, with a debug build.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Waits until `/readyz` on `port` answers 200. Fails when the part ends or takes too long.
pub(crate) async fn wait_until_ready(part: &mut Part, port: u16) -> Result<()> {
    let url: http::Uri = format!("http://127.0.0.1:{port}/readyz").parse()?;
    let deadline = Instant::now() + READY_WITHIN;
    let mut last = "it does not answer".to_owned();
    while Instant::now() < deadline {
        if let Some(how) = part.ended() {
            bail!(
                "{} ended before it was ready ({how}):\n{}",
                part.name(),
                tail(part.log_file())
            );
        }
        match probe(&url).await {
            Ok(None) => return Ok(()),
            Ok(Some(reason)) => last = reason,
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!(
        "{} is not ready after {} s: {last}\n{}",
        part.name(),
        READY_WITHIN.as_secs(),
        tail(part.log_file())
    )
}

/// `None` if ready, else why not.
async fn probe(url: &http::Uri) -> Result<Option<String>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = tokio::time::timeout(Duration::from_secs(2), client.get(url.clone())).await??;
    if answer.status().is_success() {
        return Ok(None);
    }
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(Some(format!("{status} {}", String::from_utf8_lossy(&body).trim())))
}
