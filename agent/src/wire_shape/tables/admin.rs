//! The requests of administration: settings, partitions, logs, access, and what consoles ask for.

use super::{BOOL, INT8, INT32, INT32S, INT64, Kind, RequestShape, Shape, TEXT, TEXTS, always, from, request, shape};

const INT8S: Kind = Kind::Array(&INT8);
const INT64S: Kind = Kind::Array(&INT64);

/// A topic and partitions of it.
const PARTITIONS_OF_TOPIC: Shape = shape(&[always(TEXT), always(INT32S)]);
const PARTITIONS_OF_TOPICS: Kind = Kind::Array(&Kind::Struct(&PARTITIONS_OF_TOPIC));

/// DeleteRecords.
pub const DELETE_RECORDS: RequestShape = request(
    2,
    &shape(&[always(Kind::Array(&Kind::Struct(&DELETE_RECORDS_TOPIC))), always(INT32)]),
);
const DELETE_RECORDS_TOPIC: Shape = shape(&[
    always(TEXT),
    always(Kind::Array(&Kind::Struct(&DELETE_RECORDS_PARTITION))),
]);
const DELETE_RECORDS_PARTITION: Shape = shape(&[always(INT32), always(INT64)]);

/// OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: RequestShape = request(
    4,
    &shape(&[from(3, INT32), always(Kind::Array(&Kind::Struct(&EPOCH_TOPIC)))]),
);
const EPOCH_TOPIC: Shape = shape(&[always(TEXT), always(Kind::Array(&Kind::Struct(&EPOCH_PARTITION)))]);
const EPOCH_PARTITION: Shape = shape(&[always(INT32), always(INT32), always(INT32)]);

/// DescribeAcls.
pub const DESCRIBE_ACLS: RequestShape = request(2, &ACL_FILTER);
/// Resource type, name and pattern, principal, host, operation, permission.
const ACL_FILTER: Shape = shape(&[
    always(INT8),
    always(TEXT),
    always(INT8),
    always(TEXT),
    always(TEXT),
    always(INT8),
    always(INT8),
]);

/// CreateAcls: an ACL is described like a filter for it.
pub const CREATE_ACLS: RequestShape = request(2, &shape(&[always(Kind::Array(&Kind::Struct(&ACL_FILTER)))]));

/// DeleteAcls.
pub const DELETE_ACLS: RequestShape = request(2, &shape(&[always(Kind::Array(&Kind::Struct(&ACL_FILTER)))]));

/// DescribeConfigs.
pub const DESCRIBE_CONFIGS: RequestShape = request(
    4,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&shape(&[
            always(INT8),
            always(TEXT),
            always(TEXTS),
        ])))),
        always(BOOL),
        from(3, BOOL),
    ]),
);

/// AlterConfigs.
pub const ALTER_CONFIGS: RequestShape = request(
    2,
    &shape(&[always(Kind::Array(&Kind::Struct(&ALTERED_RESOURCE))), always(BOOL)]),
);
const ALTERED_RESOURCE: Shape = shape(&[
    always(INT8),
    always(TEXT),
    always(Kind::Array(&Kind::Struct(&shape(&[always(TEXT), always(TEXT)])))),
]);

/// DescribeLogDirs.
pub const DESCRIBE_LOG_DIRS: RequestShape = request(2, &shape(&[always(PARTITIONS_OF_TOPICS)]));

/// CreatePartitions.
pub const CREATE_PARTITIONS: RequestShape = request(
    2,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&GROWING_TOPIC))),
        always(INT32),
        always(BOOL),
    ]),
);
const GROWING_TOPIC: Shape = shape(&[
    always(TEXT),
    always(INT32),
    always(Kind::Array(&Kind::Struct(&shape(&[always(INT32S)])))),
]);

/// ElectLeaders.
pub const ELECT_LEADERS: RequestShape =
    request(2, &shape(&[from(1, INT8), always(PARTITIONS_OF_TOPICS), always(INT32)]));

/// IncrementalAlterConfigs.
pub const INCREMENTAL_ALTER_CONFIGS: RequestShape = request(
    1,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&INCREMENTALLY_ALTERED_RESOURCE))),
        always(BOOL),
    ]),
);
const INCREMENTALLY_ALTERED_RESOURCE: Shape = shape(&[
    always(INT8),
    always(TEXT),
    always(Kind::Array(&Kind::Struct(&shape(&[
        always(TEXT),
        always(INT8),
        always(TEXT),
    ])))),
]);

/// AlterPartitionReassignments.
pub const ALTER_PARTITION_REASSIGNMENTS: RequestShape = request(
    0,
    &shape(&[
        always(INT32),
        from(1, BOOL),
        always(Kind::Array(&Kind::Struct(&REASSIGNED_TOPIC))),
    ]),
);
const REASSIGNED_TOPIC: Shape = shape(&[
    always(TEXT),
    always(Kind::Array(&Kind::Struct(&shape(&[always(INT32), always(INT32S)])))),
]);

/// ListPartitionReassignments.
pub const LIST_PARTITION_REASSIGNMENTS: RequestShape =
    request(0, &shape(&[always(INT32), always(PARTITIONS_OF_TOPICS)]));

/// DescribeClientQuotas.
pub const DESCRIBE_CLIENT_QUOTAS: RequestShape = request(
    1,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&shape(&[
            always(TEXT),
            always(INT8),
            always(TEXT),
        ])))),
        always(BOOL),
    ]),
);

/// DescribeUserScramCredentials.
pub const DESCRIBE_USER_SCRAM_CREDENTIALS: RequestShape = request(
    0,
    &shape(&[always(Kind::Array(&Kind::Struct(&shape(&[always(TEXT)]))))]),
);

/// DescribeCluster.
pub const DESCRIBE_CLUSTER: RequestShape = request(0, &shape(&[always(BOOL), from(1, INT8), from(2, BOOL)]));

/// DescribeProducers.
pub const DESCRIBE_PRODUCERS: RequestShape = request(0, &shape(&[always(PARTITIONS_OF_TOPICS)]));

/// DescribeTransactions.
pub const DESCRIBE_TRANSACTIONS: RequestShape = request(0, &shape(&[always(TEXTS)]));

/// ListTransactions.
pub const LIST_TRANSACTIONS: RequestShape = request(
    0,
    &shape(&[always(TEXTS), always(INT64S), from(1, INT64), from(2, TEXT)]),
);

/// ListConfigResources (KIP-1142); version 0 is the older ListClientMetricsResources.
pub const LIST_CONFIG_RESOURCES: RequestShape = request(0, &shape(&[from(1, INT8S)]));

/// DescribeTopicPartitions.
pub const DESCRIBE_TOPIC_PARTITIONS: RequestShape = request(
    0,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&shape(&[always(TEXT)])))),
        always(INT32),
        always(Kind::MaybeStruct(&shape(&[always(TEXT), always(INT32)]))),
    ]),
);
