//! Passwords that are IAM's: a request for `rds-db:connect`, signed with the process's own credentials, which RDS checks with IAM.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>
//!
//! A token opens connections for 15 minutes; one that is open stays open.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;
use types::{Clock as _, SystemClock};

use crate::{MetastoreError, PostgresConfig};

/// What RDS takes at most.
const TOKEN_TTL: Duration = Duration::from_secs(15 * 60);
const SERVICE: &str = "rds-db";
const SCHEME: &str = "https://";
/// All but RFC 3986's unreserved characters, as Signature Version 4 wants it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Makes tokens for one user of one database server.
#[derive(Debug)]
pub(super) struct IamTokens {
    host: String,
    port: u16,
    user: String,
    chain: OnceCell<Chain>,
}

/// AWS's default credential chain, and the region it is in.
#[derive(Debug)]
struct Chain {
    credentials: SharedCredentialsProvider,
    region: Region,
}

impl IamTokens {
    pub(super) fn new(config: &PostgresConfig) -> Self {
        Self {
            host: config.host.clone(),
            port: config.port,
            user: config.user.clone(),
            chain: OnceCell::new(),
        }
    }

    /// A token that is good from now on.
    pub(super) async fn next(&self) -> Result<String, MetastoreError> {
        let chain = self.chain.get_or_try_init(Chain::find).await?;
        let credentials = chain.credentials.provide_credentials().await.map_err(unavailable)?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(SystemClock.now().0.unsigned_abs());
        self.signed(credentials, chain.region.as_ref(), now)
            .map_err(unavailable)
    }

    fn signed(
        &self,
        credentials: Credentials,
        region: &str,
        now: SystemTime,
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let user = utf8_percent_encode(&self.user, RESERVED);
        let asked = format!("{SCHEME}{}:{}/?Action=connect&DBUser={user}", self.host, self.port);
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(TOKEN_TTL);
        settings.signature_location = SignatureLocation::QueryParams;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(SERVICE)
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let request = SignableRequest::new("GET", &asked, std::iter::empty(), SignableBody::Bytes(&[]))?;
        let (instructions, _) = sign(request, &parameters)?.into_parts();
        let mut token = asked[SCHEME.len()..].to_owned();
        for (name, value) in instructions.params() {
            let value = utf8_percent_encode(value, RESERVED);
            token.push_str(&format!("&{name}={value}"));
        }
        Ok(token)
    }
}

impl Chain {
    async fn find() -> Result<Self, MetastoreError> {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(storage::aws_http_client())
            .load()
            .await;
        let region = config.region().cloned();
        let credentials = config.credentials_provider();
        match (credentials, region) {
            (Some(credentials), Some(region)) => Ok(Self { credentials, region }),
            (_, None) => Err(unavailable("no AWS region: set AWS_REGION")),
            (None, _) => Err(unavailable("no AWS credentials in the default chain")),
        }
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> MetastoreError {
    let error = error.into();
    let mut message = format!("no IAM token for Postgres (YAKS_DB_AUTH=iam): {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    MetastoreError::Unavailable(message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_token_is_the_one_that_aws_makes() {
        let tokens = IamTokens {
            host: "yaks.cluster-abc.us-east-1.rds.amazonaws.com".to_owned(),
            port: 5432,
            user: "yaks_agent".to_owned(),
            chain: OnceCell::new(),
        };
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            Some("session/token+with=signs".to_owned()),
            None,
            "test",
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = tokens.signed(credentials, "us-east-1", now).unwrap();
        assert_eq!(parts(&token), parts(TOKEN_OF_BOTOCORE));
    }

    /// Host, action and the signature's parameters, whose order means nothing: it is put right before it is signed, and before it is checked.
    fn parts(token: &str) -> BTreeSet<&str> {
        token.split('&').collect()
    }

    /// `botocore.session.Session().create_client("rds").generate_db_auth_token(...)` of botocore 1.44.8 with these credentials and the clock
    /// at 1,700,000,000.
    const TOKEN_OF_BOTOCORE: &str = "yaks.cluster-abc.us-east-1.rds.amazonaws.com:5432/?Action=connect&DBUser=yaks_agent\
        &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20231114%2Fus-east-1%2Frds-db%2Faws4_request\
        &X-Amz-Date=20231114T221320Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=session%2Ftoken%2Bwith%3Dsigns\
        &X-Amz-Signature=b72e84f74ee29eb4fcfdff146f863a3e1872255953192d37355e50e2e7e0d4cb";
}
