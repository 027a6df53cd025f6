//! What `docs/protocol.md` says of each API besides its versions, which are the dispatch table's. An API that is served and has
//! no note here fails the test; so does a note whose test file is not there.

use std::fmt::Write as _;
use std::path::Path;

use agent::dispatch::{APIS, Api};
use kafka_protocol::messages::ApiKey;

/// What there is to know about an API that is served.
struct Note {
    key: ApiKey,
    /// The KIPs whose meaning shows in it.
    kips: &'static [u16],
    /// The test that covers it, by its path from the workspace's root.
    test: &'static str,
    /// Why versions that `kafka-protocol` could encode are not served; `None`: all of them are.
    not_newest: Option<&'static str>,
}

const fn note(key: ApiKey, kips: &'static [u16], test: &'static str) -> Note {
    Note {
        key,
        kips,
        test,
        not_newest: None,
    }
}

/// The same for an API whose newest version `kafka-protocol` names, but neither encodes nor decodes.
const fn newest_unencoded(key: ApiKey, kips: &'static [u16], test: &'static str) -> Note {
    Note {
        not_newest: Some("kafka-protocol knows its number only, and cannot encode it"),
        ..note(key, kips, test)
    }
}

/// One note per API that is served, sorted by key.
const NOTES: &[Note] = &[
    note(ApiKey::Produce, &[98, 110, 467, 516], "agent/tests/write_path.rs"),
    note(
        ApiKey::Fetch,
        &[74, 98, 110, 227, 320, 392, 516],
        "agent/tests/fetch.rs",
    ),
    note(
        ApiKey::ListOffsets,
        &[79, 320, 405, 734, 1005, 1075],
        "agent/tests/list_offsets.rs",
    ),
    note(
        ApiKey::Metadata,
        &[4, 36, 430, 516],
        "crates/dev-stack/tests/e2e/protocol.rs",
    ),
    newest_unencoded(
        ApiKey::OffsetCommit,
        &[98, 320],
        "crates/dev-stack/tests/e2e/protocol.rs",
    ),
    newest_unencoded(
        ApiKey::OffsetFetch,
        &[447, 709],
        "crates/dev-stack/tests/e2e/protocol.rs",
    ),
    note(ApiKey::FindCoordinator, &[699], "agent/tests/groups.rs"),
    note(
        ApiKey::JoinGroup,
        &[62, 345, 394, 429, 800],
        "crates/dev-stack/tests/e2e/groups.rs",
    ),
    note(ApiKey::Heartbeat, &[62, 345], "crates/dev-stack/tests/e2e/groups.rs"),
    note(ApiKey::LeaveGroup, &[345, 800], "crates/dev-stack/tests/e2e/groups.rs"),
    note(ApiKey::SyncGroup, &[345, 559], "crates/dev-stack/tests/e2e/groups.rs"),
    note(ApiKey::DescribeGroups, &[345, 430, 1043], "agent/tests/groups.rs"),
    note(ApiKey::ListGroups, &[518, 848], "agent/tests/groups.rs"),
    note(ApiKey::ApiVersions, &[35, 511], "agent/tests/wire.rs"),
    note(ApiKey::CreateTopics, &[4, 464, 516, 525], "agent/tests/admin.rs"),
    note(ApiKey::DeleteTopics, &[4, 516, 599], "agent/tests/admin.rs"),
    note(ApiKey::DeleteRecords, &[107], "crates/dev-stack/tests/e2e/admin.rs"),
    newest_unencoded(
        ApiKey::InitProducerId,
        &[98, 360],
        "crates/dev-stack/tests/e2e/protocol.rs",
    ),
    note(ApiKey::DeleteGroups, &[229], "agent/tests/groups.rs"),
    note(ApiKey::OffsetDelete, &[496], "agent/src/handlers/offset_delete.rs"),
    note(
        ApiKey::ConsumerGroupHeartbeat,
        &[848, 1082],
        "crates/dev-stack/tests/e2e/consumer_groups.rs",
    ),
    note(
        ApiKey::ConsumerGroupDescribe,
        &[848, 1099],
        "agent/src/handlers/consumer_group_describe.rs",
    ),
    note(
        ApiKey::OffsetForLeaderEpoch,
        &[279, 320],
        "agent/src/handlers/offset_for_leader_epoch.rs",
    ),
    note(ApiKey::DescribeAcls, &[140], "agent/tests/consoles.rs"),
    note(ApiKey::CreateAcls, &[140], "agent/tests/consoles.rs"),
    note(ApiKey::DeleteAcls, &[140], "agent/tests/consoles.rs"),
    note(ApiKey::DescribeConfigs, &[133, 226, 569], "agent/tests/alterations.rs"),
    note(ApiKey::AlterConfigs, &[133], "agent/tests/alterations.rs"),
    note(ApiKey::DescribeLogDirs, &[113, 827], "agent/tests/alterations.rs"),
    note(ApiKey::CreatePartitions, &[195], "agent/tests/alterations.rs"),
    note(ApiKey::ElectLeaders, &[460], "agent/tests/consoles.rs"),
    note(ApiKey::IncrementalAlterConfigs, &[339], "agent/tests/alterations.rs"),
    note(
        ApiKey::AlterPartitionReassignments,
        &[455],
        "agent/src/handlers/alter_partition_reassignments.rs",
    ),
    note(ApiKey::ListPartitionReassignments, &[455], "agent/tests/consoles.rs"),
    note(ApiKey::DescribeClientQuotas, &[546], "agent/tests/consoles.rs"),
    note(ApiKey::DescribeUserScramCredentials, &[554], "agent/tests/consoles.rs"),
    note(ApiKey::DescribeCluster, &[700, 919, 1073], "agent/tests/alterations.rs"),
    note(ApiKey::DescribeProducers, &[664], "agent/tests/consoles.rs"),
    note(ApiKey::DescribeTransactions, &[664], "agent/tests/consoles.rs"),
    note(ApiKey::ListTransactions, &[664], "agent/tests/consoles.rs"),
    note(ApiKey::ListConfigResources, &[714, 1142], "agent/tests/alterations.rs"),
    note(ApiKey::DescribeTopicPartitions, &[966], "agent/tests/alterations.rs"),
];

/// The table of what is served.
pub(crate) fn served() -> String {
    let mut table = String::from(
        "| API | versions | newest in kafka-protocol | KIPs | covered by |\n| --- | --- | --- | --- | --- |\n",
    );
    for api in APIS {
        let note = note_of(api);
        writeln!(
            table,
            "| {} | {} | {} | {} | [{}](../{}) |",
            api.name,
            versions(api),
            newest(api, note),
            kips(note),
            note.test,
            checked_path(note),
        )
        .expect("a String takes all");
    }
    table
}

/// The APIs that are not served, by the reason why.
pub(crate) fn not_served() -> String {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for key in ApiKey::iter().filter(|key| APIS.iter().all(|api| api.key != *key)) {
        let (reason, name) = (why_not(key), format!("{key:?}"));
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((reason, vec![name])),
        }
    }
    let mut table = String::from("| why | APIs |\n| --- | --- |\n");
    for (reason, names) in by_reason {
        writeln!(table, "| {reason} | {} |", names.join(", ")).expect("a String takes all");
    }
    table
}

/// The note of an API.
fn note_of(api: &Api) -> &'static Note {
    let found = NOTES.iter().find(|note| note.key == api.key);
    found.unwrap_or_else(|| panic!("{}: add a note to NOTES in agent/tests/api_notes/mod.rs", api.name))
}

fn versions(api: &Api) -> String {
    let mut text = format!("{} to {}", api.served_min, api.advertised.max);
    if api.served_min > api.advertised.min {
        let (first, last) = (api.advertised.min, api.served_min - 1);
        write!(text, " ({first} to {last} are advertised and refused)").expect("a String takes all");
    }
    text
}

fn newest(api: &Api, note: &Note) -> String {
    let (ours, newest) = (api.advertised.max, api.key.valid_versions().max);
    match note.not_newest {
        None if ours == newest => newest.to_string(),
        Some(reason) if ours < newest => format!("{newest}: {reason}"),
        None => panic!(
            "{}: kafka-protocol has version {newest}, {ours} is the newest served: say why",
            api.name
        ),
        Some(_) => panic!(
            "{}: the newest version is served, its note says why it is not",
            api.name
        ),
    }
}

fn kips(note: &Note) -> String {
    let links = note.kips.iter().map(|kip| format!("KIP-{kip}"));
    links.collect::<Vec<_>>().join(", ")
}

fn checked_path(note: &Note) -> &'static str {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(note.test);
    assert!(path.is_file(), "{:?}: there is no test {}", note.key, note.test);
    note.test
}

/// Why an API is not served. No wildcard arm: an API that `kafka-protocol` learns has to be thought about.
fn why_not(key: ApiKey) -> &'static str {
    use ApiKey as Api;
    match key {
        Api::Produce | Api::Fetch | Api::ListOffsets | Api::Metadata | Api::ApiVersions => "it has to be",
        Api::OffsetCommit
        | Api::OffsetFetch
        | Api::FindCoordinator
        | Api::JoinGroup
        | Api::Heartbeat
        | Api::LeaveGroup
        | Api::SyncGroup
        | Api::DescribeGroups
        | Api::ListGroups
        | Api::DeleteGroups
        | Api::OffsetDelete
        | Api::ConsumerGroupHeartbeat
        | Api::ConsumerGroupDescribe => "consumer groups: not yet",
        Api::CreateTopics
        | Api::DeleteTopics
        | Api::InitProducerId
        | Api::DeleteRecords
        | Api::OffsetForLeaderEpoch
        | Api::DescribeConfigs
        | Api::AlterConfigs
        | Api::IncrementalAlterConfigs
        | Api::ListConfigResources
        | Api::DescribeLogDirs
        | Api::CreatePartitions
        | Api::ElectLeaders
        | Api::AlterPartitionReassignments
        | Api::ListPartitionReassignments
        | Api::DescribeCluster
        | Api::DescribeProducers
        | Api::DescribeTopicPartitions => "it is served",
        Api::AddPartitionsToTxn
        | Api::AddOffsetsToTxn
        | Api::EndTxn
        | Api::WriteTxnMarkers
        | Api::TxnOffsetCommit
        | Api::DescribeTransactions
        | Api::ListTransactions => "there are no transactions yet: advertised, they would be tried",
        Api::SaslHandshake
        | Api::SaslAuthenticate
        | Api::DescribeAcls
        | Api::CreateAcls
        | Api::DeleteAcls
        | Api::CreateDelegationToken
        | Api::RenewDelegationToken
        | Api::ExpireDelegationToken
        | Api::DescribeDelegationToken
        | Api::DescribeUserScramCredentials
        | Api::AlterUserScramCredentials => "there is no authentication and no authorization yet",
        Api::DescribeClientQuotas | Api::AlterClientQuotas => "there are no quotas",
        Api::GetTelemetrySubscriptions | Api::PushTelemetry => "clients' metrics are not collected (KIP-714)",
        Api::AlterReplicaLogDirs | Api::AssignReplicasToDirs => {
            "an agent has no log directories to move partitions between"
        }
        Api::ShareGroupHeartbeat
        | Api::ShareGroupDescribe
        | Api::ShareFetch
        | Api::ShareAcknowledge
        | Api::InitializeShareGroupState
        | Api::ReadShareGroupState
        | Api::WriteShareGroupState
        | Api::DeleteShareGroupState
        | Api::ReadShareGroupStateSummary
        | Api::DescribeShareGroupOffsets
        | Api::AlterShareGroupOffsets
        | Api::DeleteShareGroupOffsets => "there are no share groups (KIP-932)",
        Api::Vote
        | Api::BeginQuorumEpoch
        | Api::EndQuorumEpoch
        | Api::DescribeQuorum
        | Api::AlterPartition
        | Api::UpdateFeatures
        | Api::Envelope
        | Api::FetchSnapshot
        | Api::BrokerRegistration
        | Api::BrokerHeartbeat
        | Api::UnregisterBroker
        | Api::AllocateProducerIds
        | Api::ControllerRegistration
        | Api::AddRaftVoter
        | Api::RemoveRaftVoter
        | Api::UpdateRaftVoter => "spoken among Kafka's brokers and controllers, which agents do without",
    }
}
