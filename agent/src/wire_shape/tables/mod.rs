//! The requests we serve, as `kafka-protocol` 0.18 decodes them (`src/messages/*_request.rs`), themselves generated from Kafka's
//! message descriptions (`clients/src/main/resources/common/message`). A property test holds the two together.

mod admin;
mod consumer_group;
mod groups;

pub use admin::*;
pub use consumer_group::*;
pub use groups::*;

use super::{Field, Kind, RequestShape, Shape, TaggedField};

/// No last version.
const ON: i16 = i16::MAX;

const BOOL: Kind = Kind::Fixed(1);
const INT8: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
const TEXT: Kind = Kind::Text;
const TEXTS: Kind = Kind::Array(&TEXT);
const INT32S: Kind = Kind::Array(&INT32);

/// A field that every version has.
const fn always(kind: Kind) -> Field {
    during(0, ON, kind)
}

/// A field of version `since` and up.
const fn from(since: i16, kind: Kind) -> Field {
    during(since, ON, kind)
}

/// A field of the versions up to and including `until`.
const fn up_to(until: i16, kind: Kind) -> Field {
    during(0, until, kind)
}

/// A field of the versions `since` to `until`, inclusive.
const fn during(since: i16, until: i16, kind: Kind) -> Field {
    Field { since, until, kind }
}

/// A struct without tagged fields of its own.
const fn shape(fields: &'static [Field]) -> Shape {
    Shape { fields, tagged: &[] }
}

const fn request(flexible_since: i16, body: &'static Shape) -> RequestShape {
    RequestShape { flexible_since, body }
}

/// ApiVersions (KIP-35, KIP-511).
pub const API_VERSIONS: RequestShape = request(3, &shape(&[from(3, TEXT), from(3, TEXT)]));

/// Metadata.
pub const METADATA: RequestShape = request(
    9,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&METADATA_TOPIC))),
        from(4, BOOL),
        during(8, 10, BOOL),
        from(8, BOOL),
    ]),
);
const METADATA_TOPIC: Shape = shape(&[from(10, UUID), always(TEXT)]);

/// CreateTopics.
pub const CREATE_TOPICS: RequestShape = request(
    5,
    &shape(&[
        always(Kind::Array(&Kind::Struct(&CREATABLE_TOPIC))),
        always(INT32),
        always(BOOL),
    ]),
);
const CREATABLE_TOPIC: Shape = shape(&[
    always(TEXT),
    always(INT32),
    always(INT16),
    always(Kind::Array(&Kind::Struct(&ASSIGNMENT))),
    always(Kind::Array(&Kind::Struct(&CONFIG))),
]);
const ASSIGNMENT: Shape = shape(&[always(INT32), always(INT32S)]);
const CONFIG: Shape = shape(&[always(TEXT), always(TEXT)]);

/// DeleteTopics.
pub const DELETE_TOPICS: RequestShape = request(
    4,
    &shape(&[
        from(6, Kind::Array(&Kind::Struct(&DELETE_TOPIC))),
        up_to(5, TEXTS),
        always(INT32),
    ]),
);
const DELETE_TOPIC: Shape = shape(&[always(TEXT), always(UUID)]);

/// Produce.
pub const PRODUCE: RequestShape = request(
    9,
    &shape(&[
        always(TEXT),
        always(INT16),
        always(INT32),
        always(Kind::Array(&Kind::Struct(&PRODUCE_TOPIC))),
    ]),
);
const PRODUCE_TOPIC: Shape = shape(&[
    up_to(12, TEXT),
    from(13, UUID),
    always(Kind::Array(&Kind::Struct(&PRODUCE_PARTITION))),
]);
const PRODUCE_PARTITION: Shape = shape(&[always(INT32), always(Kind::Blob)]);

/// Fetch.
pub const FETCH: RequestShape = request(
    12,
    &Shape {
        fields: &[
            up_to(14, INT32),
            always(INT32),
            always(INT32),
            always(INT32),
            always(INT8),
            from(7, INT32),
            from(7, INT32),
            always(Kind::Array(&Kind::Struct(&FETCH_TOPIC))),
            from(7, Kind::Array(&Kind::Struct(&FORGOTTEN_TOPIC))),
            from(11, TEXT),
        ],
        tagged: &[
            TaggedField {
                tag: 0,
                since: 12,
                kind: TEXT,
            },
            TaggedField {
                tag: 1,
                since: 15,
                kind: Kind::Struct(&REPLICA_STATE),
            },
        ],
    },
);
const FETCH_TOPIC: Shape = shape(&[
    up_to(12, TEXT),
    from(13, UUID),
    always(Kind::Array(&Kind::Struct(&FETCH_PARTITION))),
]);
const FETCH_PARTITION: Shape = Shape {
    fields: &[
        always(INT32),
        from(9, INT32),
        always(INT64),
        from(12, INT32),
        from(5, INT64),
        always(INT32),
    ],
    tagged: &[
        TaggedField {
            tag: 0,
            since: 17,
            kind: UUID,
        },
        TaggedField {
            tag: 1,
            since: 18,
            kind: INT64,
        },
    ],
};
const FORGOTTEN_TOPIC: Shape = shape(&[up_to(12, TEXT), from(13, UUID), always(INT32S)]);
const REPLICA_STATE: Shape = shape(&[always(INT32), always(INT64)]);

/// ListOffsets.
pub const LIST_OFFSETS: RequestShape = request(
    6,
    &shape(&[
        always(INT32),
        from(2, INT8),
        always(Kind::Array(&Kind::Struct(&LIST_OFFSETS_TOPIC))),
        from(10, INT32),
    ]),
);
const LIST_OFFSETS_TOPIC: Shape = shape(&[
    always(TEXT),
    always(Kind::Array(&Kind::Struct(&LIST_OFFSETS_PARTITION))),
]);
const LIST_OFFSETS_PARTITION: Shape = shape(&[always(INT32), from(4, INT32), always(INT64)]);

/// FindCoordinator.
pub const FIND_COORDINATOR: RequestShape = request(3, &shape(&[up_to(3, TEXT), from(1, INT8), from(4, TEXTS)]));

/// OffsetCommit.
pub const OFFSET_COMMIT: RequestShape = request(
    8,
    &shape(&[
        always(TEXT),
        always(INT32),
        always(TEXT),
        from(7, TEXT),
        up_to(4, INT64),
        always(Kind::Array(&Kind::Struct(&OFFSET_COMMIT_TOPIC))),
    ]),
);
const OFFSET_COMMIT_TOPIC: Shape = shape(&[
    always(TEXT),
    always(Kind::Array(&Kind::Struct(&OFFSET_COMMIT_PARTITION))),
]);
const OFFSET_COMMIT_PARTITION: Shape = shape(&[always(INT32), always(INT64), from(6, INT32), always(TEXT)]);

/// OffsetFetch.
pub const OFFSET_FETCH: RequestShape = request(
    6,
    &shape(&[
        up_to(7, TEXT),
        up_to(7, Kind::Array(&Kind::Struct(&OFFSET_FETCH_TOPIC))),
        from(8, Kind::Array(&Kind::Struct(&OFFSET_FETCH_GROUP))),
        from(7, BOOL),
    ]),
);
const OFFSET_FETCH_TOPIC: Shape = shape(&[always(TEXT), always(INT32S)]);
const OFFSET_FETCH_GROUP: Shape = shape(&[
    always(TEXT),
    from(9, TEXT),
    from(9, INT32),
    always(Kind::Array(&Kind::Struct(&OFFSET_FETCH_TOPIC))),
]);

/// InitProducerId.
pub const INIT_PRODUCER_ID: RequestShape = request(
    2,
    &shape(&[always(TEXT), always(INT32), from(3, INT64), from(3, INT16)]),
);
