//! The queue's address. SQS names a queue by a URL and takes every request at that URL's origin. Pure.

/// URL of an SQS queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrl {
    url: String,
    endpoint: String,
    region: Option<String>,
}

impl QueueUrl {
    /// The URL, as SQS gave it.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Where its requests go to: scheme, host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The region that its host names; LocalStack and VPC endpoints may have hosts that name none.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

impl std::fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

impl std::str::FromStr for QueueUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let wrong = || {
            "expected the URL that SQS gives a queue, such as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME".to_owned()
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
        let usable = matches!(scheme, "http" | "https")
            && !authority.is_empty()
            && !path.is_empty()
            && !path.ends_with('/')
            && !url.contains(char::is_whitespace);
        if !usable {
            return Err(wrong());
        }
        Ok(Self {
            url: url.to_owned(),
            endpoint: format!("{scheme}://{authority}"),
            region: region_of(authority),
        })
    }
}

/// The label after `sqs`: `sqs.eu-west-1.amazonaws.com`, `sqs-fips.us-east-1.amazonaws.com`,
/// `vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com`.
fn region_of(authority: &str) -> Option<String> {
    let mut labels = authority.split('.');
    labels.find(|label| matches!(*label, "sqs" | "sqs-fips"))?;
    let region = labels.next()?;
    // A region has dashes; `sqs.example.com` has none there.
    region.contains('-').then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_origin_of_the_url_and_are_signed_for_the_region_it_names() {
        let cases = [
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/yaks-events",
                "https://sqs.eu-west-1.amazonaws.com",
                Some("eu-west-1"),
            ),
            (
                "https://vpce-1a-2b.sqs.eu-central-1.vpce.amazonaws.com/123456789012/q",
                "https://vpce-1a-2b.sqs.eu-central-1.vpce.amazonaws.com",
                Some("eu-central-1"),
            ),
            (
                "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q",
                "http://sqs.us-east-1.localhost.localstack.cloud:4566",
                Some("us-east-1"),
            ),
            ("http://127.0.0.1:4566/000000000000/q", "http://127.0.0.1:4566", None),
        ];
        for (url, endpoint, region) in cases {
            let parsed: QueueUrl = url.parse().unwrap();
            assert_eq!((parsed.endpoint(), parsed.region()), (endpoint, region), "{url}");
            assert_eq!(parsed.as_str(), url);
        }
    }

    #[test]
    fn what_names_no_queue_is_refused() {
        for text in [
            "yaks-events",
            "arn:aws:sqs:eu-west-1:1:q",
            "ftp://host/1/q",
            "https://host",
            "https://host/",
            "https:///1/q",
            "https://host/1/a b",
        ] {
            assert!(text.parse::<QueueUrl>().is_err(), "{text}");
        }
    }
}
