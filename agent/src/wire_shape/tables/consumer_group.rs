//! Groups of the consumer protocol (KIP-848), and the protocol that classic members embed in JoinGroup and SyncGroup.

use super::{BOOL, INT32, INT32S, Kind, ON, RequestShape, Shape, TEXT, TEXTS, UUID, always, from, request, shape};

/// ConsumerGroupHeartbeat.
pub const CONSUMER_GROUP_HEARTBEAT: RequestShape = request(
    0,
    &shape(&[
        always(TEXT),
        always(TEXT),
        always(INT32),
        always(TEXT),
        always(TEXT),
        always(INT32),
        always(TEXTS),
        from(1, TEXT),
        always(TEXT),
        always(Kind::Array(&Kind::Struct(&OWNED_TOPIC))),
    ]),
);
const OWNED_TOPIC: Shape = shape(&[always(UUID), always(INT32S)]);

/// ConsumerGroupDescribe.
pub const CONSUMER_GROUP_DESCRIBE: RequestShape = request(0, &shape(&[always(TEXTS), always(BOOL)]));

/// A subscription, as classic members embed it in JoinGroup.
pub const CONSUMER_PROTOCOL_SUBSCRIPTION: RequestShape = request(
    ON,
    &shape(&[
        always(TEXTS),
        always(Kind::Blob),
        from(1, Kind::Array(&Kind::Struct(&NAMED_TOPIC))),
        from(2, INT32),
        from(3, TEXT),
    ]),
);

/// An assignment, as leaders of classic groups embed it in SyncGroup.
pub const CONSUMER_PROTOCOL_ASSIGNMENT: RequestShape = request(
    ON,
    &shape(&[always(Kind::Array(&Kind::Struct(&NAMED_TOPIC))), always(Kind::Blob)]),
);
const NAMED_TOPIC: Shape = shape(&[always(TEXT), always(INT32S)]);
