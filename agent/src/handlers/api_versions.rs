//! ApiVersions (KIP-35, KIP-511): what we serve, computed from the dispatch table.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::broker::Broker;
use crate::client::Client;
use crate::dispatch;

/// First version in which the client names its software.
const SOFTWARE_SINCE: i16 = 3;

/// Answers with the dispatch table. The client's name and version are checked as KIP-511 says; remembering them is the connection's.
pub async fn handle(
    _broker: &Arc<Broker>,
    _client: &Client,
    version: i16,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    let named = is_software(&request.client_software_name) && is_software(&request.client_software_version);
    if version >= SOFTWARE_SINCE && !named {
        return with_error(ResponseError::InvalidRequest);
    }
    listing()
}

/// The answer to a version we do not know: version 0, which every client can read, with the ranges to choose from.
pub fn unsupported() -> ApiVersionsResponse {
    with_error(ResponseError::UnsupportedVersion)
}

fn with_error(error: ResponseError) -> ApiVersionsResponse {
    listing().with_error_code(error.code())
}

fn listing() -> ApiVersionsResponse {
    let ranges = dispatch::APIS.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.advertised.min)
            .with_max_version(api.advertised.max)
    });
    ApiVersionsResponse::default().with_api_keys(ranges.collect())
}

/// KIP-511: letters, digits, dots and dashes, a letter or digit at both ends.
fn is_software(text: &str) -> bool {
    let at_ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    at_ends(text.chars().next()) && at_ends(text.chars().last()) && text.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::*;

    #[test]
    fn software_names_are_judged_as_kip_511_says() {
        for good in ["librdkafka", "apache-kafka-java", "3.7.0", "a"] {
            assert!(is_software(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "käse", "a_b"] {
            assert!(!is_software(bad), "{bad}");
        }
    }

    #[test]
    fn the_error_answer_lists_its_own_range() {
        let answer = unsupported();
        assert_eq!(answer.error_code, ResponseError::UnsupportedVersion.code());
        let own = answer
            .api_keys
            .iter()
            .find(|api| api.api_key == ApiKey::ApiVersions as i16);
        assert!(own.is_some_and(|own| own.min_version == 0 && own.max_version >= 4));
    }

    #[test]
    fn no_transaction_api_is_advertised() {
        let transactional = [
            ApiKey::AddPartitionsToTxn,
            ApiKey::AddOffsetsToTxn,
            ApiKey::EndTxn,
            ApiKey::TxnOffsetCommit,
        ];
        assert!(
            listing()
                .api_keys
                .iter()
                .all(|api| transactional.iter().all(|key| api.api_key != *key as i16))
        );
    }
}
