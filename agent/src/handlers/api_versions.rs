//! ApiVersions (KIP-35, KIP-511): what we serve, computed from the dispatch table.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::wire::text;
use crate::broker::Broker;
use crate::client::Client;
use crate::dispatch;

/// First version that tells the cluster's features (KIP-584).
const FEATURES_SINCE: i16 = 3;

/// First version whose readers take a feature that may be off, level 0 (KAFKA-17011).
const LEVEL_0_SINCE: i16 = 4;

/// The feature that stands for the consumer protocol of groups (KIP-848), and its level.
const GROUP_VERSION: (&str, i16) = ("group.version", 1);

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
    with_features(listing(), version)
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

fn with_features(response: ApiVersionsResponse, version: i16) -> ApiVersionsResponse {
    let (name, level) = GROUP_VERSION;
    if version < FEATURES_SINCE {
        return response;
    }
    let finalized = FinalizedFeatureKey::default()
        .with_name(text(name))
        .with_min_version_level(level)
        .with_max_version_level(level);
    let supported = SupportedFeatureKey::default()
        .with_name(text(name))
        .with_min_version(0)
        .with_max_version(level);
    let supported = (version >= LEVEL_0_SINCE).then_some(supported);
    response
        .with_supported_features(supported.into_iter().collect())
        // It never changes while an agent runs.
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
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
    use crate::handlers::wire::encodes;

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
    fn features_are_told_in_versions_that_have_room_for_them() {
        for version in 0..=4 {
            let answer = with_features(listing(), version);
            assert_eq!(answer.finalized_features.len(), usize::from(version >= 3));
            assert_eq!(answer.supported_features.len(), usize::from(version >= 4));
            encodes(&answer, version);
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
