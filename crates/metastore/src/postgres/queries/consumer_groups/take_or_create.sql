-- $1 group, $2 node id of its new coordinator, $3 kind of a group that is not there yet.
INSERT INTO consumer_groups AS held (group_id, coordinator_node, kind, generation, state, protocol_type, member_count)
VALUES ($1, $2, $3, 0, 'Empty', '', 0)
ON CONFLICT (group_id) DO UPDATE
SET coordinator_epoch = nextval('coordinator_epochs'), coordinator_node = excluded.coordinator_node
RETURNING coordinator_epoch, kind, generation, state, protocol_type, member_count, content
