//! Where the bucket is and who we are to it; shared by every deployable that touches S3.

use clap::Args;

/// A key or password that never shows in logs.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// Settings of the S3 client. The defaults fit LocalStack and `make up`; on AWS the endpoint and both keys are
/// set to nothing, which means AWS's own endpoint and its default credential chain.
#[derive(Args, Clone, Debug)]
pub struct S3Config {
    /// URL of the S3 endpoint; empty: AWS's own for the region.
    #[arg(
        long = "s3-endpoint",
        env = "YAKS_S3_ENDPOINT",
        value_name = "YAKS_S3_ENDPOINT",
        default_value = "http://localhost:4566",
        value_parser = parse_endpoint
    )]
    pub endpoint: String,
    /// AWS region of the bucket; a wrong one is refused by AWS, not forwarded.
    #[arg(
        long = "s3-region",
        env = "YAKS_S3_REGION",
        value_name = "YAKS_S3_REGION",
        default_value = "us-east-1"
    )]
    pub region: String,
    /// Access key id; empty, together with the secret key: AWS's default credential chain.
    #[arg(
        long = "s3-access-key",
        env = "YAKS_S3_ACCESS_KEY",
        value_name = "YAKS_S3_ACCESS_KEY",
        default_value = "test"
    )]
    pub access_key: String,
    /// Secret access key, never logged; empty, together with the access key: AWS's default credential chain.
    #[arg(
        long = "s3-secret-key",
        env = "YAKS_S3_SECRET_KEY",
        value_name = "YAKS_S3_SECRET_KEY",
        default_value = "test",
        hide_env_values = true
    )]
    pub secret_key: Secret,
    /// Whether the bucket goes into the URL's path (LocalStack, most stand-ins) instead of its host name (AWS).
    #[arg(
        long = "s3-path-style",
        env = "YAKS_S3_PATH_STYLE",
        value_name = "YAKS_S3_PATH_STYLE",
        action = clap::ArgAction::Set,
        default_value = "true"
    )]
    pub path_style: bool,
    /// Bucket that holds all objects of the cluster; it must exist.
    #[arg(
        long = "s3-bucket",
        env = "YAKS_S3_BUCKET",
        value_name = "YAKS_S3_BUCKET",
        default_value = "test-bucket",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub bucket: String,
}

/// Settings that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum S3ConfigError {
    /// Half a credential would silently fall back to the credential chain, that is, to somebody else's rights.
    #[error("{empty} is empty but {set} is not: set both, or leave both empty for AWS's default credential chain")]
    HalfCredentials {
        /// The variable without a value.
        empty: &'static str,
        /// The variable with one.
        set: &'static str,
    },
}

/// A key pair, or `None` for the default credential chain.
pub(crate) fn static_credentials(config: &S3Config) -> Result<Option<(&str, &str)>, S3ConfigError> {
    const ACCESS: &str = "YAKS_S3_ACCESS_KEY";
    const SECRET: &str = "YAKS_S3_SECRET_KEY";
    match (config.access_key.as_str(), config.secret_key.reveal()) {
        ("", "") => Ok(None),
        ("", _) => Err(S3ConfigError::HalfCredentials {
            empty: ACCESS,
            set: SECRET,
        }),
        (_, "") => Err(S3ConfigError::HalfCredentials {
            empty: SECRET,
            set: ACCESS,
        }),
        (access, secret) => Ok(Some((access, secret))),
    }
}

fn parse_endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let usable = text.is_empty() || host.is_some_and(|h| !h.is_empty() && !h.contains(char::is_whitespace));
    if usable {
        Ok(text.to_owned())
    } else {
        Err("expected http://host:port, https://host, or nothing for AWS".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        s3: S3Config,
    }

    fn parse(args: &[&str]) -> Result<S3Config, clap::Error> {
        <Cli as clap::Parser>::try_parse_from([&["x"], args].concat()).map(|cli| cli.s3)
    }

    #[test]
    fn defaults_are_those_of_the_go_program() {
        let s3 = parse(&[]).unwrap();
        assert_eq!(s3.endpoint, "http://localhost:4566");
        assert_eq!(static_credentials(&s3), Ok(Some(("test", "test"))));
        assert_eq!(
            (s3.region.as_str(), s3.bucket.as_str(), s3.path_style),
            ("us-east-1", "test-bucket", true)
        );
    }

    #[test]
    fn empty_values_mean_aws_and_its_credential_chain() {
        let s3 = parse(&["--s3-endpoint=", "--s3-access-key=", "--s3-secret-key="]).unwrap();
        assert_eq!(s3.endpoint, "");
        assert_eq!(static_credentials(&s3), Ok(None));
    }

    #[test]
    fn half_a_credential_is_refused_by_name() {
        let s3 = parse(&["--s3-secret-key="]).unwrap();
        let message = static_credentials(&s3).unwrap_err().to_string();
        assert!(message.starts_with("YAKS_S3_SECRET_KEY is empty"), "{message}");
    }

    #[test]
    fn a_wrong_endpoint_is_refused_by_the_name_of_its_variable() {
        let message = parse(&["--s3-endpoint=localhost:4566"]).unwrap_err().to_string();
        assert!(message.contains("YAKS_S3_ENDPOINT"), "{message}");
    }

    #[test]
    fn the_secret_key_never_shows() {
        let s3 = parse(&["--s3-secret-key=hunter2"]).unwrap();
        assert!(!format!("{s3:?}").contains("hunter2"));
    }
}
