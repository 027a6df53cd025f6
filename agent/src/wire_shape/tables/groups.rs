//! Requests of consumer groups.

use super::*;

/// JoinGroup.
pub const JOIN_GROUP: RequestShape = request(
    6,
    &shape(&[
        always(TEXT),
        always(INT32),
        from(1, INT32),
        always(TEXT),
        from(5, TEXT),
        always(TEXT),
        always(Kind::Array(&Kind::Struct(&JOIN_PROTOCOL))),
        from(8, TEXT),
    ]),
);
const JOIN_PROTOCOL: Shape = shape(&[always(TEXT), always(Kind::Blob)]);

/// SyncGroup.
pub const SYNC_GROUP: RequestShape = request(
    4,
    &shape(&[
        always(TEXT),
        always(INT32),
        always(TEXT),
        from(3, TEXT),
        from(5, TEXT),
        from(5, TEXT),
        always(Kind::Array(&Kind::Struct(&SYNC_ASSIGNMENT))),
    ]),
);
const SYNC_ASSIGNMENT: Shape = shape(&[always(TEXT), always(Kind::Blob)]);

/// Heartbeat.
pub const HEARTBEAT: RequestShape = request(4, &shape(&[always(TEXT), always(INT32), always(TEXT), from(3, TEXT)]));

/// LeaveGroup.
pub const LEAVE_GROUP: RequestShape = request(
    4,
    &shape(&[
        always(TEXT),
        up_to(2, TEXT),
        from(3, Kind::Array(&Kind::Struct(&LEAVING_MEMBER))),
    ]),
);
const LEAVING_MEMBER: Shape = shape(&[always(TEXT), always(TEXT), from(5, TEXT)]);

/// DescribeGroups.
pub const DESCRIBE_GROUPS: RequestShape = request(5, &shape(&[always(TEXTS), from(3, BOOL)]));

/// ListGroups.
pub const LIST_GROUPS: RequestShape = request(3, &shape(&[from(4, TEXTS), from(5, TEXTS)]));

/// DeleteGroups.
pub const DELETE_GROUPS: RequestShape = request(2, &shape(&[always(TEXTS)]));

/// OffsetDelete; never flexible.
pub const OFFSET_DELETE: RequestShape = request(
    ON,
    &shape(&[always(TEXT), always(Kind::Array(&Kind::Struct(&OFFSET_DELETE_TOPIC)))]),
);
const OFFSET_DELETE_TOPIC: Shape = shape(&[always(TEXT), always(INT32S)]);
