//! What ECS tells a container of itself: `YAKS_ADVERTISED_HOST=auto`, `YAKS_RACK=auto` and their like are read there at the start
//! (AWS, "Amazon ECS task metadata endpoint version 4").

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::listeners::AUTO;

/// The variable that ECS sets in every container.
pub const ENDPOINT_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// The endpoint may not be ready yet when a task starts.
const ATTEMPTS: usize = 3;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);
/// An answer is a few KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    networks: Vec<Network>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(default, rename = "IPv4Addresses")]
    ipv4_addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    availability_zone: Option<String>,
}

/// Puts this container's address and zone into the settings that leave them to ECS. `endpoint` is the value of
/// [`ENDPOINT_VARIABLE`]; nothing is asked where no setting needs it.
pub async fn fill_in(config: &mut Config, endpoint: Option<&str>) -> anyhow::Result<()> {
    if config.broker.rack == AUTO {
        config.broker.rack = zone(endpoint).await.context("YAKS_RACK=auto")?;
    }
    if config.broker.advertised_host == AUTO {
        let address = own_address(endpoint).await.context("YAKS_ADVERTISED_HOST=auto")?;
        config.broker.advertised_host = address;
    }
    let auto_host = format!("://{AUTO}");
    if config.cache.cache_advertised_url.contains(&auto_host) {
        let address = own_address(endpoint)
            .await
            .context("YAKS_CACHE_ADVERTISED_URL=http://auto:port")?;
        let url = &mut config.cache.cache_advertised_url;
        *url = url.replacen(&auto_host, &format!("://{address}"), 1);
    }
    if config
        .broker
        .listeners
        .0
        .iter()
        .any(|listener| listener.leaves_host_to(AUTO))
    {
        let address = own_address(endpoint)
            .await
            .context("YAKS_LISTENERS with the host `auto`")?;
        for listener in &mut config.broker.listeners.0 {
            listener.replace_host(AUTO, &address);
        }
    }
    Ok(())
}

async fn zone(endpoint: Option<&str>) -> anyhow::Result<String> {
    let task: Task = ask(endpoint, "/task").await?;
    let zone = task.availability_zone.filter(|zone| !zone.is_empty());
    zone.ok_or_else(|| anyhow!("the task's metadata has no AvailabilityZone"))
}

async fn own_address(endpoint: Option<&str>) -> anyhow::Result<String> {
    let container: Container = ask(endpoint, "").await?;
    let addresses = container
        .networks
        .into_iter()
        .flat_map(|network| network.ipv4_addresses);
    let address = addresses.into_iter().next();
    address.ok_or_else(|| anyhow!("the container's metadata has no IPv4 address: is its network mode `awsvpc`?"))
}

async fn ask<A: for<'a> Deserialize<'a>>(endpoint: Option<&str>, path: &str) -> anyhow::Result<A> {
    let endpoint = endpoint.with_context(|| format!("{ENDPOINT_VARIABLE} is not set: this is no container of ECS"))?;
    let url = format!("{}{path}", endpoint.trim_end_matches('/'));
    let mut attempt = 1;
    let body = loop {
        let late = || anyhow!("no answer within {} s", ANSWER_MAX.as_secs());
        match timeout(ANSWER_MAX, get(&url)).await.map_err(|_| late()).flatten() {
            Ok(body) => break body,
            Err(error) if attempt == ATTEMPTS => return Err(error.context(format!("GET {url}"))),
            Err(_) => attempt += 1,
        }
        sleep(ATTEMPT_PAUSE).await;
    };
    serde_json::from_slice(&body).with_context(|| format!("the answer of {url}"))
}

async fn get(url: &str) -> anyhow::Result<Bytes> {
    let http: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = http.get(url.parse()?).await?;
    ensure!(response.status().is_success(), "status {}", response.status());
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok(body.map_err(|error| anyhow!(error))?.to_bytes())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const CONTAINER: &str = r#"{"DockerId": "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66", "Name": "agent",
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.106"], "IPv4SubnetCIDRBlock": "10.0.2.0/24"}]}"#;
    const TASK: &str =
        r#"{"Cluster": "default", "Family": "yaks", "AvailabilityZone": "eu-west-1b", "Containers": []}"#;

    /// A server that answers `/v4/id` and `/v4/id/task`, after refusing the first `failures` requests.
    async fn endpoint(container: &'static str, task: &'static str, mut failures: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let (status, body) = match request.split_whitespace().nth(1) {
                    _ if failures > 0 => {
                        failures -= 1;
                        ("500 Internal Server Error", "")
                    }
                    Some("/v4/id") => ("200 OK", container),
                    Some("/v4/id/task") => ("200 OK", task),
                    _ => ("404 Not Found", ""),
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}/v4/id")
    }

    fn config(args: &[&str]) -> Config {
        Config::try_parse_from(["yaks-agent"].iter().chain(args)).unwrap()
    }

    const ALL_AUTO: [&str; 4] = [
        "--advertised-host=auto",
        "--rack=auto",
        "--listeners=A://:1,B://:2=auto:3,C://:4=lb:5",
        "--cache-advertised-url=http://auto:9080",
    ];

    #[tokio::test]
    async fn address_and_zone_are_those_of_the_task() {
        let endpoint = endpoint(CONTAINER, TASK, 0).await;
        let mut config = config(&ALL_AUTO);
        fill_in(&mut config, Some(&endpoint)).await.unwrap();
        assert_eq!(
            (config.broker.rack.as_str(), config.broker.advertised_host.as_str()),
            ("eu-west-1b", "10.0.2.106")
        );
        assert_eq!(config.cache.advertised_url(), "http://10.0.2.106:9080");
        let told: Vec<_> = config
            .listeners()
            .into_iter()
            .map(|listener| (listener.host, listener.port))
            .collect();
        let told: Vec<_> = told.iter().map(|(host, port)| (host.as_str(), *port)).collect();
        assert_eq!(told, [("10.0.2.106", 1), ("10.0.2.106", 3), ("lb", 5)]);
    }

    #[tokio::test]
    async fn an_endpoint_that_is_not_ready_yet_is_asked_again() {
        let endpoint = endpoint(CONTAINER, TASK, ATTEMPTS - 1).await;
        let mut config = config(&["--rack=auto"]);
        fill_in(&mut config, Some(&endpoint)).await.unwrap();
        assert_eq!(config.broker.rack, "eu-west-1b");
    }

    #[tokio::test]
    async fn what_ecs_does_not_say_is_refused_by_the_name_of_the_variable() {
        let silent = endpoint("{}", "{}", 0).await;
        let broken = endpoint("{", "[]", 0).await;
        for (arg, variable) in [
            (ALL_AUTO[0], "YAKS_ADVERTISED_HOST"),
            (ALL_AUTO[1], "YAKS_RACK"),
            (ALL_AUTO[2], "YAKS_LISTENERS"),
            (ALL_AUTO[3], "YAKS_CACHE_ADVERTISED_URL"),
        ] {
            for endpoint in [None, Some(silent.as_str()), Some(broken.as_str())] {
                let error = fill_in(&mut config(&[arg]), endpoint).await.unwrap_err();
                let message = format!("{error:#}");
                assert!(message.contains(variable), "{message}");
                assert!(endpoint.is_some() || message.contains(ENDPOINT_VARIABLE), "{message}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_where_nothing_is_left_to_ecs() {
        fill_in(&mut config(&[]), None).await.unwrap();
    }
}
