//! An S3's own counters, as the dev-stack serves them: what an S3 bill is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

const REQUESTS: &str = "yaks_dev_s3_requests_total";
const BYTES: &str = "yaks_dev_s3_bytes_total";
const TIMEOUT: Duration = Duration::from_secs(10);

/// The kinds of requests that are paid for, in the order in which they are told.
pub const KINDS: [&str; 5] = ["PUT", "GET", "LIST", "HEAD", "DELETE"];

/// Requests and bytes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Count {
    /// Refused ones included.
    pub requests: u64,
    /// Of objects: in by PUT, out by GET.
    pub bytes: u64,
}

/// Counts by kind.
pub type S3Counts = BTreeMap<String, S3Count>;

/// Asks for the counters.
pub fn read(url: &str) -> Result<S3Counts> {
    let text = get(url).with_context(|| format!("no counters of S3 at {url}"))?;
    let counts = parse(&text);
    ensure!(!counts.is_empty(), "{url} does not serve {REQUESTS}");
    Ok(counts)
}

/// The body of what is at `url`.
pub fn get(url: &str) -> Result<String> {
    let mut answer = agent().get(url).call()?;
    Ok(answer.body_mut().read_to_string()?)
}

/// Asks for something to be done, and nothing else.
pub fn post(url: &str) -> Result<()> {
    agent().post(url).send_empty()?;
    Ok(())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
}

/// From Prometheus's text format.
fn parse(text: &str) -> S3Counts {
    let mut counts = S3Counts::new();
    for line in text.lines() {
        let Some((family, operation, value)) = sample(line) else {
            continue;
        };
        let Some(kind) = kind(operation) else { continue };
        let count = counts.entry(kind.to_owned()).or_default();
        match family {
            REQUESTS => count.requests += value,
            BYTES => count.bytes += value,
            _ => {}
        }
    }
    counts
}

/// `family{operation="Operation"} value`.
fn sample(line: &str) -> Option<(&str, &str, u64)> {
    let (family, rest) = line.split_once("{operation=\"")?;
    let (operation, value) = rest.split_once("\"} ")?;
    let ours = family == REQUESTS || family == BYTES;
    ours.then_some((family, operation, value.parse().ok()?))
}

fn kind(operation: &str) -> Option<&'static str> {
    let starts = |prefix| operation.starts_with(prefix);
    let bucket = operation.ends_with("Bucket");
    KINDS
        .into_iter()
        .zip(["Put", "Get", "List", "Head", "Delete"])
        .find_map(|(kind, prefix)| (starts(prefix) && !bucket).then_some(kind))
}

/// What came between two readings.
pub fn between(before: &S3Counts, after: &S3Counts) -> S3Counts {
    let since = |(kind, now): (&String, &S3Count)| {
        let then = before.get(kind).copied().unwrap_or_default();
        let count = S3Count {
            requests: now.requests.saturating_sub(then.requests),
            bytes: now.bytes.saturating_sub(then.bytes),
        };
        (kind.clone(), count)
    };
    after.iter().map(since).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE yaks_dev_s3_requests_total counter\n\
        yaks_dev_s3_requests_total{operation=\"HeadBucket\"} 9\n\
        yaks_dev_s3_requests_total{operation=\"PutObject\"} 3\n\
        yaks_dev_s3_requests_total{operation=\"DeleteObject\"} 1\n\
        yaks_dev_s3_requests_total{operation=\"DeleteObjects\"} 2\n\
        yaks_dev_s3_errors_total{operation=\"PutObject\"} 1\n\
        yaks_dev_s3_bytes_total{operation=\"PutObject\"} 300\n\
        yaks_dev_events_waiting 4\n";

    #[test]
    fn operations_are_added_up_by_the_kind_that_is_paid_for() {
        let counts = parse(TEXT);
        let count = |requests, bytes| S3Count { requests, bytes };
        let wanted = [("DELETE", count(3, 0)), ("PUT", count(3, 300))];
        assert_eq!(counts, wanted.map(|(kind, count)| (kind.to_owned(), count)).into());
    }

    #[test]
    fn only_what_came_since_is_told() {
        let before = parse(TEXT);
        let after = parse(&TEXT.replace("\"PutObject\"} 300", "\"PutObject\"} 350"));
        assert_eq!(between(&before, &after)["PUT"], S3Count { requests: 0, bytes: 50 });
        assert_eq!(between(&S3Counts::new(), &after)["PUT"].requests, 3);
    }
}
