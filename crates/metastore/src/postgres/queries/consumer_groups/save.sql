-- $1 group, $2 epoch, $3 kind, $4 generation, $5 state, $6 protocol type, $7 members, $8 content.
-- The epoch is the fence: whoever was replaced as coordinator changes no row.
UPDATE consumer_groups
SET kind = $3,
    generation = $4,
    state = $5,
    protocol_type = $6,
    member_count = $7,
    content = $8,
    empty_since = CASE WHEN $7 = 0 THEN coalesce(empty_since, now()) END
WHERE group_id = $1 AND coordinator_epoch = $2
