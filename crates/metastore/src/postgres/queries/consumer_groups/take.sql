-- $1 group, $2 node id of its new coordinator, $3 unused. No row comes back of a group that is not there.
UPDATE consumer_groups
SET coordinator_epoch = nextval('coordinator_epochs'), coordinator_node = $2
WHERE group_id = $1 AND $3::text IS NULL
RETURNING coordinator_epoch, kind, generation, state, protocol_type, member_count, content
